package manifest_test

import "groundhog/fixtures/handmade"

var (
	dir, file, link, node, hard = handmade.Dir, handmade.File, handmade.Link, handmade.Node, handmade.Hard

	archive, of, encode, bytesOf = handmade.Archive, handmade.Manifest, handmade.JSON, handmade.Bytes
)
