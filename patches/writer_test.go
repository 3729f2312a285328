package patches

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian"
)

// program64 is the header of a program for machine (elf(5)) and nothing else.
func program64(machine elf.Machine, kind elf.Type) []byte {
	b := []byte(amd64ELF)
	binary.LittleEndian.PutUint16(b[16:], uint16(kind))
	binary.LittleEndian.PutUint16(b[18:], uint16(machine))
	return b
}

func giveWriter(b []byte) func(*Options) {
	return func(o *Options) { o.Writer = func(string) ([]byte, error) { return b, nil } }
}

func TestWriter(t *testing.T) {
	for _, release := range releases {
		tgt := tiny.New(release, true)
		program := program64(machineOf(t, tgt), elf.ET_EXEC)
		img, r := patch(t, tgt, giveWriter(program))
		at, ok := img.Resolve(WriterPath)
		if !ok || !bytes.Equal(img.Content(img.Lookup(at)), program) || img.Lookup(at).Mode&0o777 != 0o755 {
			t.Errorf("%s: %s is not the writer", release, WriterPath)
		}
		found := false
		for _, p := range r.Patches {
			found = found || p.Name == "writer" && len(p.Paths) == 1 && p.Paths[0] == at
		}
		if !found {
			t.Errorf("%s: the report does not name the writer: %+v", release, r.Patches)
		}
	}
}

// A device must not get a program that it cannot run.
func TestWriterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		give []byte
		err  error
		want string
	}{
		"another machine": {program64(elf.EM_S390, elf.ET_EXEC), nil, "not a static program"},
		"a library":       {program64(elf.EM_X86_64, elf.ET_DYN), nil, "not a static program"},
		"a text":          {[]byte("#!/bin/sh\n"), nil, "EOF"},
		"too large":       {make([]byte, maxWriter+1), nil, "more than"},
		"none":            {nil, errors.New("this groundhog has none"), "this groundhog has none"},
	} {
		err := refused(t, tiny.New("bookworm", true), func(o *Options) {
			o.Writer = func(string) ([]byte, error) { return c.give, c.err }
		})
		if !strings.HasPrefix(err.Error(), "patch writer: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The hook brings the same file to the same place.
func TestHooksWriter(t *testing.T) {
	o := hookOptions()
	program := program64(elf.EM_X86_64, elf.ET_EXEC)
	giveWriter(program)(&o)
	r := mustHooks(t, hookTree("bookworm"), o)
	for _, c := range r.Changes {
		if c.Path == ownDir+"/writer" && bytes.Equal(c.After, program) {
			return
		}
	}
	t.Error("no writer among the changes")
}

func machineOf(t *testing.T, tgt *tiny.Target) elf.Machine {
	m, _ := debian.MachineNamed(debian.Read(read(t, tgt)).Architecture)
	return m.ELF
}
