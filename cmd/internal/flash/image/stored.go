package image

import (
	"io"
	"net/url"
	"path"
	"strings"
)

// IsURL reports whether an image of that name is fetched.
func IsURL(name string) bool {
	scheme, _, found := strings.Cut(name, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) // RFC 3986, section 3.1
}

// Shown is an image's name for people, logs and reports. A URL is shown without user, password and query, which may be secret.
func Shown(name string) string {
	if !IsURL(name) {
		return name
	}
	u, err := url.Parse(name)
	if err != nil {
		return "a URL that is none"
	}
	query := ""
	if u.RawQuery != "" || u.ForceQuery {
		query = "?..."
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return u.String() + query
}

// Base is the last element of an image's name, of a URL of its path.
func Base(name string) string {
	shown, _, _ := strings.Cut(Shown(name), "?")
	if !IsURL(name) {
		shown = name
	}
	return path.Base(shown)
}

// URL is where the image is fetched from, as it was given; "" for any other image.
func (i *Image) URL() string {
	if IsURL(i.name) {
		return i.name
	}
	return ""
}

// Stored is a local image's bytes as they are stored; nil for any other. Each is independent.
func (i *Image) Stored() io.ReadSeeker {
	if i.file == nil {
		return nil
	}
	info, err := i.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return io.NewSectionReader(i.file, 0, info.Size())
}

// Err is why the image cannot be had, as far as it was read.
func (i *Image) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}
