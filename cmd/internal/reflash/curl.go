package reflash

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/plain"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/initrd/show"
)

// byPipeline flashes by curl | decoder | dd on the device.
func (f *flashing) byPipeline(ctx context.Context) runResult {
	began := time.Now()
	job, stop, err := f.curlPipeline(ctx)
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	defer stop()
	f.tellPhase("flash", "%s gets %s and writes it to %s", f.Name, f.path, f.disk)
	// It says nothing until it is over. A megabyte a second to write, and as much again to read back, is slow for any device.
	silent := f.Patience + 2*time.Duration(job.Size>>20)*time.Second
	f.wrote = "curl " + job.Session
	before := f.lastWriter(ctx)
	r, err := f.runPipeline(device.Patient(ctx, silent), job)
	data := &Flashed{Result: flash.Result{State: flash.Untouched, Checked: f.img.Checked(), Size: r.Bytes, Seconds: time.Since(began).Seconds()}, Image: f.img.Sum(), Content: f.img.Content()}
	if f.img.Compression() == "raw" {
		data.Image = job.SHA256
	}
	if err != nil {
		switch {
		case errors.Is(err, plain.ErrLost):
			data.State = flash.Unknown
		case r.Started:
			data.State = flash.Waiting
		}
		return runResult{data: data, err: inState(f.stateLeft(ctx, data.State, f.wrote, before, err), err)}
	}
	return runResult{state: Verified, data: data, done: fmt.Sprintf("verified: %s has %s (%s), %s in %.1f s, %s, by curl",
		f.disk.Path, f.path, data.imageNamed(), show.Bytes(r.Bytes), data.Seconds, show.Rate(float64(r.Bytes)/data.Seconds))}
}

// lastWriter is who has written to the disk before this run, "" where nobody has or nobody can say.
func (f *flashing) lastWriter(ctx context.Context) string {
	r, err := f.c.Script(device.Patient(ctx, askFor), stateScript, nil, f.disk.Path)
	if err != nil || r.Exit != 0 {
		return ""
	}
	_, by, _ := strings.Cut(strings.TrimSpace(string(r.Stdout)), " ")
	return writtenBy(by)
}

// runPipeline runs the pipeline. It waits for a pipeline that an earlier run of ours, which was killed, has left on the device.
func (f *flashing) runPipeline(ctx context.Context, job plain.Job) (r plain.Result, err error) {
	for end := time.Now().Add(f.Patience); ; {
		r, err = plain.Run(ctx, f.c, job)
		if !errors.Is(err, plain.ErrRefused) || !isGoing(err.Error()) || !time.Now().Before(end) {
			return r, err
		}
		f.tellPhase("flash", "%v; trying again", err)
		select {
		case <-time.After(4 * tryAgain):
		case <-ctx.Done():
			return r, err
		}
	}
}

// curlPipeline is what the device is told to do, and serves the image where it has no URL of its own.
func (f *flashing) curlPipeline(ctx context.Context) (job plain.Job, stop func(), err error) {
	f.tellPhase("image", "reading %s to its end: what is read back is held against its hash", f.path)
	if err := f.img.LoadFor(ctx, f.disk.Size); errors.Is(err, image.ErrLarger) {
		return job, nil, f.nameSmallDisk(err)
	} else if err != nil {
		return job, nil, err
	}
	size, _ := f.img.Size()
	sum, err := f.img.DecodedSum(ctx)
	if err != nil {
		return job, nil, err
	}
	job = plain.Job{Disk: f.disk.Path, URL: f.URL, Compression: f.img.Compression(), Size: size, SHA256: sum, Who: whoami(), Session: rand.Text()}
	if job.Compression == "raw" {
		job.Compression = "none"
	}
	if size > f.disk.Size {
		return job, nil, fmt.Errorf("the image is larger than the disk: %d bytes, %s has %d", size, f.disk.Path, f.disk.Size)
	}
	if err := f.sendFittedTable(ctx, &job); err != nil {
		return job, nil, err
	}
	// All this may have taken long, and the connection may be gone.
	if err := f.retryStep(ctx, func() error { return f.reconnect(ctx) }); err != nil {
		return job, nil, err
	}
	// A decoder on the device may call an error what the decoder here leaves out, and busybox' knows less: it would fail half way.
	common := len(f.img.Notes()) == 0 && f.img.Common()
	if job.URL == "" && common {
		job.URL = f.img.URL()
	}
	if job.URL != "" && !common {
		return job, nil, fmt.Errorf("the device may have no %s that reads all of %s: without --url it is decoded here", job.Compression, f.path)
	}
	if job.URL != "" {
		return job, func() {}, nil
	}
	stored := f.img.Stored() != nil && common
	if stored && job.Compression != "none" {
		r, err := f.c.Run(ctx, "command -v "+job.Compression, nil)
		if err != nil {
			return job, nil, err
		}
		stored = r.Exit == 0
	}
	if !stored {
		job.Compression = "none" // what it cannot decode is decoded here
	}
	job.URL, stop, err = f.serveImage(stored)
	return job, stop, err
}

// sendFittedTable has the partition table fitted to the disk.
func (f *flashing) sendFittedTable(ctx context.Context, job *plain.Job) error {
	first, err := f.img.ReadFirst(ctx, chunk.Size)
	if err != nil {
		return err
	}
	head, extents, err := f.fitTable(protocol.Disk{Size: f.disk.Size, Block: f.disk.Block}, job.Size, first)
	if err != nil {
		return err
	}
	if len(extents) == 0 && string(head) == string(first) {
		return nil
	}
	if string(head) != string(first) {
		job.Head = head[:len(head)/512*512]
	}
	if len(extents) == 0 {
		return nil
	}
	from, end := extents[0].Off, extents[0].End()
	for _, e := range extents {
		from, end = min(from, e.Off), max(end, e.End())
	}
	if end-from > plain.MaxTail {
		return errors.New("the partition table's backup is in several pieces")
	}
	job.TailAt, job.Tail = from, make([]byte, end-from)
	for _, e := range extents {
		copy(job.Tail[e.Off-from:], e.Data)
	}
	return nil
}

// serveImage gives the image to whoever asks on the device's own loopback for a name that nobody else
// knows: as it is stored, or decoded.
func (f *flashing) serveImage(stored bool) (url string, stop func(), err error) {
	l, err := f.c.Listen()
	if err != nil {
		return "", nil, err
	}
	name := "/" + rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+name, func(w http.ResponseWriter, r *http.Request) {
		if stored {
			http.ServeContent(w, r, "", time.Time{}, f.img.Stored())
			return
		}
		size, _ := f.img.Size()
		w.Header().Set("Content-Length", fmt.Sprint(size))
		zeros := make([]byte, chunk.Size)
		// A shorter answer than was said is an error at the other end; there is none to tell here.
		_ = f.img.Walk(r.Context(), nil, func(c chunk.Chunk, data []byte) error {
			if data == nil {
				data = zeros[:c.Len]
			}
			_, err := w.Write(data)
			return err
		})
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second}
	go s.Serve(l)
	return "http://" + l.Addr().String() + name, func() { s.Close() }, nil
}
