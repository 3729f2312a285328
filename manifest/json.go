package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"groundhog/initrd/show"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// All JSON goes through go-json-experiment, the coming encoding/json/v2: the
// older package takes fields in any case and twice, and is too slow for a
// manifest of 100,000 entries.

// WriteJSON writes v indented by two blanks, with a line end behind it. What does not print is escaped.
func WriteJSON(w io.Writer, v any) error {
	w = show.JSONWriter(w)
	if err := json.MarshalWrite(w, v, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := WriteJSON(&b, v)
	return b.Bytes(), err
}

// unmarshal reads r to its end into v and takes the elements of all lists off
// items.
func unmarshal(r io.Reader, v any, items int) error {
	return oneLine(json.UnmarshalRead(r, v, json.RejectUnknownMembers(true),
		json.WithUnmarshalers(json.JoinUnmarshalers(
			boundedList[string](&items), boundedList[Entry](&items), boundedList[Key](&items), boundedList[Input](&items),
			boundedList[Patch](&items), boundedList[Segment](&items), boundedList[Package](&items)))))
}

// boundedList reads a list whose elements are counted before there is room made
// for them: "{}" is two bytes here and two hundred in memory.
func boundedList[T any](left *int) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(dec *jsontext.Decoder, list *[]T) error {
		if dec.PeekKind() != '[' {
			return fmt.Errorf("not a list")
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		for dec.PeekKind() != ']' {
			if *left--; *left < 0 {
				return fmt.Errorf("%w of elements", ErrTooLarge)
			}
			if len(*list) == cap(*list) { // append grows large lists by a quarter: five copies
				*list = slices.Grow(*list, max(4, len(*list)))
			}
			*list = append(*list, *new(T))
			if err := json.UnmarshalDecode(dec, &(*list)[len(*list)-1]); err != nil {
				return err
			}
		}
		_, err := dec.ReadToken()
		return err
	})
}

// checkSchema finds the schema's number, before anything else is believed.
func checkSchema(b []byte, known int, what string) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(b))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return fmt.Errorf("not a %s: no JSON object", what)
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return oneLine(err)
		}
		if name.String() != "schema" {
			if err := dec.SkipValue(); err != nil {
				return oneLine(err)
			}
			continue
		}
		var n int
		if err := json.UnmarshalDecode(dec, &n); err != nil || n < 1 {
			return fmt.Errorf("not a %s: its schema is not a positive number", what)
		}
		if n > known {
			return fmt.Errorf("schema %d: %w (this one reads up to %d)", n, ErrNewer, known)
		}
		return nil
	}
	return fmt.Errorf("not a %s: no field \"schema\"", what)
}

// oneLine says a JSON library's error as ours: where, then what.
func oneLine(err error) error {
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	switch {
	case err == nil || errors.Is(err, ErrTooLarge):
		return err
	case errors.As(err, &syn):
		if syn.Err == nil {
			return fmt.Errorf("byte %d: not JSON", syn.ByteOffset)
		}
		return fmt.Errorf("byte %d: %w", syn.ByteOffset, syn.Err)
	case errors.As(err, &sem):
		at := show.Printable(strings.TrimPrefix(string(sem.JSONPointer), "/"))
		if sem.Err == nil {
			return fmt.Errorf("%s: a JSON %v does not belong there", at, sem.JSONKind)
		}
		return fmt.Errorf("%s: %w", at, sem.Err)
	}
	return err
}
