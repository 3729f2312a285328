package diff_test

import "groundhog/fixtures/handmade"

var (
	dir, file, link, mapNode, hard = handmade.Dir, handmade.File, handmade.Link, handmade.Node, handmade.Hard

	archive, of, encode = handmade.Archive, handmade.Manifest, handmade.JSON
)
