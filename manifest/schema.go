package manifest

import _ "embed" // the schema

// SchemaJSON is the JSON Schema (draft 2020-12) of the manifest. It is not the
// whole of what [Decode] asks for: a schema cannot say that paths are unique or
// that the segments fill the archive.
//
//go:embed schema.json
var SchemaJSON string
