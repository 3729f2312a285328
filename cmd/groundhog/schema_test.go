package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	generate "github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"
	validate "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/inspect"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

var update = flag.Bool("update", false, "write schemas/*.json anew")

// printed is the type of each kind of output whose schema is made from it.
var printed = map[string]reflect.Type{
	"diff":    reflect.TypeFor[diff.Changes](),
	"patch":   reflect.TypeFor[patchJSON](),
	"hooks":   reflect.TypeFor[hooksJSON](),
	"inspect": reflect.TypeFor[inspect.Found](),
	"list":    reflect.TypeFor[inspect.Listing](),
	"verify":  reflect.TypeFor[verifyJSON](),
	"index":   reflect.TypeFor[indexReport](),
	"event":   reflect.TypeFor[reflash.Event](),
	"version": reflect.TypeFor[versionJSON](),
}

// The schemas are those of the types that are printed.
func TestSchemas(t *testing.T) {
	for _, k := range schemaKinds {
		typ := printed[k.name]
		if typ == nil {
			continue // manifest: package manifest's own
		}
		want := schemaOf(t, k, typ)
		if *update {
			judge.Must(t, os.WriteFile("schemas/"+k.name+".json", want, 0o644))
			continue
		}
		got := judge.Value(schemaText(k.name))(t)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what is printed: go test ./cmd/groundhog -run TestSchemas -update, and say in CHANGELOG.md what changed", k.name)
		}
	}
}

// schemaOf makes a schema from a Go type. A form that stands in it more than once is one of its $defs.
func schemaOf(t *testing.T, k schemaKind, typ reflect.Type) []byte {
	t.Helper()
	forms := map[reflect.Type]*generate.Schema{reflect.TypeFor[manifest.Mode](): {Type: "string", Pattern: "^[0-7]{1,5}$"}}
	seen := map[reflect.Type]int{}
	countStructs(typ, seen)
	maps.DeleteFunc(seen, func(_ reflect.Type, n int) bool { return n == 1 })
	nameOf := func(typ reflect.Type) string { return strings.ToLower(strings.TrimSuffix(typ.Name(), "JSON")) }
	for typ := range seen {
		forms[typ] = &generate.Schema{Ref: "#/$defs/" + nameOf(typ)}
	}
	schema := func(typ reflect.Type) *generate.Schema {
		others := maps.Clone(forms)
		delete(others, typ)
		s, err := generate.ForType(typ, &generate.ForOptions{TypeSchemas: others})
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		listsAreThere(s)
		return s
	}
	s := schema(typ)
	for typ := range seen {
		if s.Defs == nil {
			s.Defs = map[string]*generate.Schema{}
		}
		s.Defs[nameOf(typ)] = schema(typ)
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "groundhog " + k.name
	s.Description = "printed by " + k.of
	version := any(outputSchema)
	switch k.name {
	case "diff":
		version = any(diff.ChangesSchema)
	case "event":
		onlyVerdictsHaveData(s)
	}
	s.Properties["schema"] = &generate.Schema{Const: &version, Description: "the version of this form"}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	return append(b, '\n')
}

// countStructs counts how often a type has others in it, those in an embedded one as its own.
func countStructs(typ reflect.Type, seen map[reflect.Type]int) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		countStructs(typ.Elem(), seen)
	case reflect.Struct:
		if seen[typ]++; seen[typ] > 1 {
			return
		}
		for _, field := range reflect.VisibleFields(typ) {
			if !field.Anonymous && field.Tag.Get("json") != "-" {
				countStructs(field.Type, seen)
			}
		}
	}
}

// onlyVerdictsHaveData says which kinds of events there are, and that the figures of a flash come with its verdict.
func onlyVerdictsHaveData(s *generate.Schema) {
	s.Properties["event"].Enum = []any{reflash.EventCheck, reflash.EventPhase, reflash.EventProgress, reflash.EventVerdict, reflash.EventPlan, reflash.EventTrace}
	verdict := any(reflash.EventVerdict)
	s.If = &generate.Schema{Required: []string{"data"}}
	s.Then = &generate.Schema{Properties: map[string]*generate.Schema{"event": {Const: &verdict}}}
}

// listsAreThere says of every list that it is one: it is empty rather than null. So is an object that may be left out, here or in $defs.
func listsAreThere(s *generate.Schema) {
	if s == nil {
		return
	}
	if slices.Equal(s.Types, []string{"null", "array"}) {
		s.Types, s.Type = nil, "array"
	}
	listsAreThere(s.Items)
	for name, p := range s.Properties {
		if optional := !slices.Contains(s.Required, name); optional && slices.Equal(p.Types, []string{"null", "object"}) {
			p.Types, p.Type = nil, "object"
		} else if optional && p.Ref != "" {
			p.Types = nil
		}
		listsAreThere(p)
	}
}

// compiled is a schema as the validator has it.
func compiled(t *testing.T, name string) *validate.Schema {
	t.Helper()
	code, text, said := here("schema", name)
	if code != exitDone {
		t.Fatalf("schema %s: exit %d: %s", name, code, said)
	}
	doc := judge.Value(validate.UnmarshalJSON(strings.NewReader(text)))(t)
	c := validate.NewCompiler()
	judge.Must(t, c.AddResource("s.json", doc))
	return judge.Value(c.Compile("s.json"))(t)
}

// What is printed is valid by the schema that is printed, line by line of events, whole of everything else.
func TestOutputIsValid(t *testing.T) {
	workplace(t)
	hooksRoot(t, "hooked")
	outputs := map[string][][]string{
		"manifest": {{"manifest", "reflash.img"}, {"manifest", "reflash.img", "--json"}, {"manifest", "root"}},
		"diff":     {{"diff", "--json", "initrd.img", "reflash.img"}, {"diff", "--format", "json", "--all", "--fail-on", "keys", "reflash.img", "initrd.img"}, {"diff", "--json", "initrd.img", "initrd.img"}, {"diff", "--json", "--content", "initrd.img", "reflash.img"}},
		"patch":    {{"patch", "initrd.img", "--root", "root", "--json", "-o", "out.img"}, {"patch", "initrd.img", "--root", "root", "--json", "--dry-run"}},
		"hooks":    {{"hooks", "hooked", "--json", "--authorized-keys", "id.pub"}, {"hooks", "hooked", "--json", "--dry-run", "--authorized-keys", "id.pub", "--wait", "1m"}, {"hooks", "hooked", "--revert", "--json"}},
		"inspect":  {{"inspect", "--json", "reflash.img"}, {"inspect", "--json", "initrd.img"}},
		"list":     {{"inspect", "--list", "--json", "reflash.img"}, {"inspect", "--list", "--all", "--json", "reflash.img"}},
		"verify":   {{"verify", "--json", "reflash.img"}, {"verify", "--json", "initrd.img", "--manifest", "other.json"}},
		"event":    {{"push", "--json", "--ssh-config", "none", "root@127.0.0.1:1", "reflash.img"}, {"restore", "--json", "--ssh-config", "none", "root@127.0.0.1:1"}},
		"index":    {{"index", "--json", "--level", "1", "--force", "disk.img"}, {"index", "--json", "--list"}, {"index", "--json", "--level", "1", "--force", "--store", "store", "disk.img"}},
		"version":  {{"version", "--json"}},
	}
	renameManifest(t, "reflash.img", "initrd.img", "other.json")
	for _, k := range schemaKinds {
		if outputs[k.name] == nil {
			t.Errorf("%s: nothing prints it here", k.name)
		}
		schema := compiled(t, k.name)
		for _, args := range outputs[k.name] {
			code, out, said := here(args...)
			if code == exitTrouble || out == "" {
				t.Errorf("groundhog %q: exit %d: %s", args, code, said)
				continue
			}
			documents := []string{out}
			if k.name == "event" {
				documents = strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			}
			for _, document := range documents {
				v, err := validate.UnmarshalJSON(strings.NewReader(document))
				if err == nil {
					err = schema.Validate(v)
				}
				if err != nil {
					t.Errorf("groundhog %q: %v\n%s", args, err, document)
				}
			}
		}
	}
}

// hooksRoot writes the root tree of testdata/hooks.txtar to dir.
func hooksRoot(t *testing.T, dir string) {
	t.Helper()
	files := judge.Value(txtar.ParseFile(filepath.Join(testDir, "testdata/hooks.txtar")))(t)
	files.Files = append(files.Files, txtar.File{Name: "root/usr/bin/dpkg", Data: tinyelf.Program(elf.EM_X86_64)})
	for _, f := range files.Files {
		name, ok := strings.CutPrefix(f.Name, "root/")
		if !ok {
			continue
		}
		name = filepath.Join(dir, name)
		judge.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		judge.Must(t, os.WriteFile(name, f.Data, 0o755))
	}
}

// testDir is the directory of these tests, which some of them leave.
var testDir, _ = os.Getwd()

// renameManifest writes the manifest beside archive as that of another.
func renameManifest(t *testing.T, archive, other, to string) {
	t.Helper()
	b, err := os.ReadFile(archive + ".manifest.json")
	if err == nil {
		b = bytes.Replace(b, []byte(`"name": "`+archive+`"`), []byte(`"name": "`+other+`"`), 1)
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A schema refuses what is not of its form.
func TestSchemaRefuses(t *testing.T) {
	for _, k := range schemaKinds {
		for _, document := range []string{`{}`, `[]`, `{"schema":99}`, `{"schema":` + strconv.Itoa(outputSchema) + `,"nosuch":1}`} {
			v := judge.Value(validate.UnmarshalJSON(strings.NewReader(document)))(t)
			if compiled(t, k.name).Validate(v) == nil {
				t.Errorf("%s: %s is valid", k.name, document)
			}
		}
	}
	for document, valid := range map[string]bool{
		`"event":"phase"}`:               true,
		`"event":"nosuch"}`:              false,
		`"event":"verdict","data":{}}`:   false,
		`"event":"verdict","data":null}`: false,
	} {
		document = fmt.Sprintf(`{"schema":%d,"time":"","host":"",`, outputSchema) + document
		v := judge.Value(validate.UnmarshalJSON(strings.NewReader(document)))(t)
		if err := compiled(t, "event").Validate(v); (err == nil) != valid {
			t.Errorf("%s: %v", document, err)
		}
	}
	var all map[string]json.RawMessage
	code, out, _ := here("schema", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitDone || len(all) != len(schemaKinds) {
		t.Errorf("exit %d, %d schemas, %v", code, len(all), err)
	}
}

// With --json standard output has JSON or nothing, however early a run ends, and what went wrong is said once: there, or on standard error.
func TestJSONOrNothing(t *testing.T) {
	workplace(t)
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		if verb.Flags().Lookup("json") == nil {
			return
		}
		for _, rest := range [][]string{{}, {"127.0.0.1:1"}, {"127.0.0.1:1", "text"}, {"127.0.0.1:1", "127.0.0.1:1"}, {"root", "root", "root"}, {"127.0.0.1:1", "reflash.img", "text"}, {"--bogus"}, {"--json=maybe"}, {""}, {"reflash.img"}, {"-"}, {"a\xff", "b\n"}} {
			args := append([]string{verb.Name(), "--json"}, rest...)
			if verb.Flags().Lookup("ssh-config") != nil {
				args = append(args, "--ssh-config", "none", "--connect-timeout", "1s")
			}
			code, out, said := here(args...)
			for rest := json.NewDecoder(strings.NewReader(out)); ; {
				var value any
				err := rest.Decode(&value)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Errorf("%q: exit %d: %v in\n%s", args, code, err, out)
					break
				}
			}
			if code != exitDone && code != exitNo && (out == "") == (said == "") {
				t.Errorf("%q: exit %d\n%s\n%s", args, code, out, said)
			}
		}
	})
}
