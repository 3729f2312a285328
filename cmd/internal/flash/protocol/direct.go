package protocol

import (
	"encoding/binary"
	"fmt"

	"groundhog/cmd/internal/flash/direct"
)

// AppendDirectKey is the payload of a DirectKey: the key, and the address at which the client has reached the device.
func AppendDirectKey(b []byte, k direct.Key, at direct.Address) []byte {
	return append(append(b, k[:]...), at[:]...)
}

// ReadDirectKey reads a DirectKey.
func ReadDirectKey(b []byte) (k direct.Key, at direct.Address, err error) {
	if len(b) != len(k)+len(at) {
		return k, at, fmt.Errorf("%w: a key and an address in %d bytes", ErrProtocol, len(b))
	}
	return direct.Key(b), direct.Address(b[len(k):]), nil
}

// AppendPort is the payload of a DirectPort.
func AppendPort(b []byte, port uint16) []byte { return binary.BigEndian.AppendUint16(b, port) }

// ReadPort reads a DirectPort.
func ReadPort(b []byte) (port uint16, err error) {
	if len(b) != 2 {
		return 0, fmt.Errorf("%w: a port in %d bytes", ErrProtocol, len(b))
	}
	return binary.BigEndian.Uint16(b), nil
}
