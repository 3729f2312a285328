package manifest_test

import (
	"fmt"
	"log"
	"os"

	"groundhog/fixtures/handmade"
	"groundhog/initrd"
	"groundhog/manifest"
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
	m, err := manifest.Of(build("curl"))
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range m.Entries {
		fmt.Println(e.Mode, e.Path, e.Type, e.Size)
	}
	// Output:
	// 0755 usr dir 0
	// 0755 usr/curl file 4
}

func ExampleManifest_Attribute() {
	m, err := manifest.Of(build("curl"))
	if err != nil {
		log.Fatal(err)
	}
	// Any fs.FS will do: os.DirFS of the tree that the archive was made from.
	root := handmade.Debian()
	root["usr/curl"] = root["usr/bin/curl"]
	root["var/lib/dpkg/info/curl.list"].Data = []byte("/usr/curl\n")
	if err := m.Attribute(root); err != nil {
		log.Fatal(err)
	}
	for _, p := range m.Packages {
		fmt.Println(p.Name, p.Version, p.Files, p.Bytes)
	}
	// Output: curl 7.88-1 1 4
}

func ExampleEncode() {
	m := &manifest.Manifest{Schema: manifest.Schema, Source: manifest.Root, Entries: []manifest.Entry{
		{Path: "etc", Type: manifest.Dir, Mode: 0o755}}}
	if err := manifest.Encode(os.Stdout, m); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {
	//   "schema": 4,
	//   "source": "root",
	//   "dropbear": false,
	//   "entries": [
	//     {
	//       "path": "etc",
	//       "type": "dir",
	//       "mode": "0755",
	//       "uid": 0,
	//       "gid": 0,
	//       "size": 0,
	//       "mtime": 0,
	//       "segment": 0
	//     }
	//   ]
	// }
}

func ExampleDecode() {
	f, err := os.Open("initrd.json")
	if err != nil {
		fmt.Println("no manifest yet")
		return
	}
	defer f.Close()
	m, err := manifest.Decode(f, manifest.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(m.Entries))
	// Output: no manifest yet
}

func ExampleVerify() {
	m, err := manifest.Of(build("curl"))
	if err != nil {
		log.Fatal(err)
	}
	found, err := manifest.Verify(build("c0rl"), m)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range found {
		fmt.Println(d.Where, d.What)
	}
	// Output:
	// archive sha256
	// segment 0 sha256
	// usr/curl sha256
}
