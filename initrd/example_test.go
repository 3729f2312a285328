package initrd_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"groundhog/initrd"
)

func ExampleRead() {
	f, err := os.Open("../fixtures/archives/early.img")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	img, err := initrd.Read(f, initrd.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range img.Segments {
		fmt.Printf("%#x %s: %d entries\n", s.Offset, s.Compression, len(s.Entries))
	}
	conf, err := img.ReadFile("conf/initramfs.conf")
	fmt.Printf("%q %v\n", conf, err)
	// Output:
	// 0x0 none: 5 entries
	// 0x400 zstd: 19 entries
	// "DEVICE=\n" <nil>
}

func ExampleImage_Put() {
	f, err := os.Open("../fixtures/archives/split.img")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	img, err := initrd.Read(f, initrd.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	// In the archive, bin is a symlink to usr/bin.
	changed, err := img.Put("bin/hello", initrd.File{Mode: initrd.TypeFile | 0o755, Data: []byte("#!/bin/sh\necho hello\n")})
	fmt.Println(changed, err)
	var out bytes.Buffer
	if _, err := img.WriteTo(&out); err != nil {
		log.Fatal(err)
	}
	img, err = initrd.Read(&out, initrd.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(img.Lookup("usr/bin/hello"))
	// Output:
	// true <nil>
	// -rwxr-xr-x usr/bin/hello
}
