package diff_test

import (
	"fmt"
	"log"

	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// build is an archive as a build might leave it.
func build(curl string) *initrd.Image {
	img, err := initrd.New(initrd.None,
		initrd.Entry{Name: "usr", Mode: initrd.TypeDir | 0o755, Nlink: 2},
		initrd.Entry{Name: "usr/curl", Mode: initrd.TypeFile | 0o755, Nlink: 1, Data: []byte(curl)})
	if err != nil {
		log.Fatal(err)
	}
	return img
}

func ExampleOf() {
	old, err := manifest.Of(build("curl"))
	if err != nil {
		log.Fatal(err)
	}
	now, err := manifest.Of(build("curl, larger"))
	if err != nil {
		log.Fatal(err)
	}
	c := diff.Of(old, now, false)
	for _, ch := range c.Each {
		fmt.Println(ch.Kind, ch.Path, ch.Details())
	}
	rules, err := diff.ParseRules("setuid,unpacked>100%")
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range c.Gate(rules) {
		fmt.Println(t.Rule, "broken:", t.What)
	}
	// Output:
	// changed usr/curl content, +8 B
	// unpacked>100% broken: 4 B -> 12 B (+8 B, +200.0%)
}
