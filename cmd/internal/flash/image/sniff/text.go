package sniff

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// knownTexts is what a text can be that lies in an image's place, by what it begins with, blanks aside; the first that fits counts.
var knownTexts = []struct {
	begins *regexp.Regexp
	what   string
}{
	{regexp.MustCompile(`^version https://git-lfs\.github\.com/`), "a pointer of git-LFS: git lfs pull gets what it points to"},
	{regexp.MustCompile(`^version https?://\S+/spec/v\d`), "a pointer of git-LFS: git lfs pull gets what it points to"},
	{regexp.MustCompile(`(?i)^(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*<bmap\b`), "a block map (.bmap), without the image that it belongs to"},
	{regexp.MustCompile(`(?i)^(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*(<!doctype\s+html|<html|<head|<body|<title|<script|<meta)\b`), "a web page"},
	{regexp.MustCompile(`(?i)^(<\?xml|<!--|<!doctype|<[a-z][\w:.-]*[\s>/])`), "an XML document, a server's error perhaps"},
	{regexp.MustCompile(`^-----BEGIN (OPENSSH |RSA |EC |DSA |ENCRYPTED )?PRIVATE KEY`), "a private key"},
	{regexp.MustCompile(`^-----BEGIN PGP SIGNED MESSAGE-----`), "a signed message, with checksums perhaps"},
	{regexp.MustCompile(`^-----BEGIN PGP `), "a signature or a key of PGP's"},
	{regexp.MustCompile(`^---- BEGIN SSH2 PUBLIC KEY`), "a public key"},
	{regexp.MustCompile(`^-----BEGIN `), "a PEM file: a certificate or a key"},
	{regexp.MustCompile(`^(\S+ )?(ssh-(rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-(ssh|ecdsa)\S+) AAAA`), "a public key"},
	{regexp.MustCompile(`^untrusted comment: `), "a signature or a key of signify or minisign"},
	{regexp.MustCompile(`(?i)^\\?([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})(\s+\S|\s*$)`), "a file of checksums"},
	{regexp.MustCompile(`^\\?[A-Z0-9/-]+ ?\(.*\) ?= ?[0-9a-fA-F]{32,}`), "a file of checksums"},
	{regexp.MustCompile(`^# Disk DescriptorFile`), "a VMDK's description, without the disk that it describes" + howToConvert},
	{regexp.MustCompile(`^# v\d git bundle`), "a bundle of git's"},
	{regexp.MustCompile(`^tree [0-9a-f]{40}|^commit [0-9a-f]{40}`), "something of git's"},
	{regexp.MustCompile(`^magnet:\?`), "a link"},
	{regexp.MustCompile(`^https?://\S+\s*$`), "a link"},
	{regexp.MustCompile(`^HTTP/\d`), "an answer of a web server, with its headers"},
	{regexp.MustCompile(`^[{[]`), "JSON, a server's message perhaps"},
	{regexp.MustCompile(`^(:[0-9A-Fa-f]{10,}\s*)`), "an Intel HEX file for a microcontroller"},
	{regexp.MustCompile(`^S[0-9][0-9A-Fa-f]{6,}\s`), "an S-record file for a microcontroller"},
	{regexp.MustCompile(`^#!`), "a script"},
	{regexp.MustCompile(`^#cloud-config`), "a configuration of cloud-init"},
	{regexp.MustCompile(`^/dts-v1/`), "a device tree's source"},
}

// torrentStart begins a .torrent's file, which has bytes of a hash in it and is no text.
var torrentStart = regexp.MustCompile(`^d\d{1,3}:(announce|info|created by|creation date|comment|nodes|url-list|encoding)`)

// textHead is how much of a text is looked at, in bytes.
const textHead = 4096

// textFile is the kind of text that b is the beginning of; "" where b is no text.
func textFile(b []byte) string {
	if torrentStart.Match(b[:min(len(b), 64)]) {
		return "a .torrent file, without what it describes"
	}
	head := b[:min(len(b), textHead)]
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		if isUTF16(head[2:]) {
			return "a text in UTF-16"
		}
		return ""
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	letters, printable := countLetters(head)
	if !printable {
		return ""
	}
	begins := strings.TrimSpace(string(head))
	for _, t := range knownTexts {
		if t.begins.MatchString(begins) {
			return t.what
		}
	}
	if isText(head, letters, len(b) > len(head)) {
		return "a text"
	}
	return ""
}

// countLetters counts the printable characters of ASCII, and reports whether nothing in b controls anything but a text's lines.
func countLetters(b []byte) (letters int, printable bool) {
	for _, c := range b {
		switch {
		case c >= ' ' && c < 0x7f, c == '\n', c == '\t', c == '\r':
			letters++
		case c >= 0x80, c == '\f', c == 0x1b:
		default:
			return letters, false
		}
	}
	return letters, true
}

// isText reports whether all of what is printable is letters, so many of them of ASCII, in UTF-8 or any 8-bit encoding, and what stands between them.
func isText(b []byte, letters int, cut bool) bool {
	if cut { // a character may be cut in two
		b = b[:len(b)-min(len(b), utf8.UTFMax)]
	}
	return utf8.Valid(b) || letters*10 >= len(b)*9
}

// isUTF16 reports whether every other byte is zero, as in a text of UTF-16.
func isUTF16(b []byte) bool {
	zeros := 0
	for _, c := range b {
		if c == 0 {
			zeros++
		}
	}
	return len(b) > 1 && zeros*5 >= len(b)*2 && zeros*2 <= len(b)+1
}
