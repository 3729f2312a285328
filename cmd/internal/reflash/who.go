package reflash

import (
	"context"
	"fmt"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
)

// otherDevice is nil where who answers may be the device that the last push to this name met; record is nil where
// there was none.
func otherDevice(who device.Who, record *device.Record, name string) error {
	if record == nil {
		return nil
	}
	err := who.Differs(record.Who)
	if err == nil {
		return nil
	}
	return hint.To(fmt.Errorf("%w, as at the last push to %s", err, name), "if it is the right one, or was replaced, remove "+device.RecordPath(name))
}

// askOther asks who answers, and is otherDevice's verdict. A record that cannot be read tells nothing.
func askOther(ctx context.Context, c *device.Client, name string) (device.Who, error) {
	who, err := c.Who(ctx)
	if err != nil {
		return who, err
	}
	record, err := device.ReadRecord(name)
	if err != nil {
		record = nil
	}
	return who, otherDevice(who, record, name)
}
