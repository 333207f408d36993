package seed

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxName is the length of the longest name in bytes, as most file systems have it.
const MaxName = 255

// CheckName returns an ErrName where name is not that of a file: not one name but a
// path, empty, too long, not in Unicode's form NFC, or with characters that cannot
// be seen or turn others around.
func CheckName(name string) error {
	if why := wrongName(name); why != "" {
		return fmt.Errorf("seed: %.300q: %w: %s", name, ErrName, why)
	}
	return nil
}

func wrongName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "." || name == "..":
		return "it is a directory"
	case len(name) > MaxName:
		return fmt.Sprintf("it has %d bytes, at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "it is a path"
	case strings.ContainsFunc(name, unseen):
		return "it has a control character"
	case !norm.NFC.IsNormalString(name):
		return "it is not in Unicode's form NFC"
	}
	return ""
}

// unseen tells control characters, those that end lines, and those by which a name
// looks like another: the ones that change the direction of what follows.
func unseen(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// PortableName returns the name by which any system can have a file called name:
// name itself, or something like it. Windows does not have some characters, names
// of devices, and dots and spaces at the end.
func PortableName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = strings.Map(func(r rune) rune {
		switch {
		case unseen(r):
			return -1
		case strings.ContainsRune(`<>:"/\|?*`, r):
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(norm.NFC.String(name), ". ")
	if stem, _, _ := strings.Cut(name, "."); device(stem) {
		name = stem + "_" + name[len(stem):]
	}
	name = shorten(name)
	if name == "" {
		return "file"
	}
	return name
}

// shorten cuts a name that is too long before its extension.
func shorten(name string) string {
	if len(name) <= MaxName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 32 {
		ext = ""
	}
	n := MaxName - len(ext)
	for n > 0 && (!utf8.RuneStart(name[n]) || !norm.NFC.PropertiesString(name[n:]).BoundaryBefore()) {
		n-- // what combines stays with what it combines with
	}
	return strings.TrimRight(name[:n], ". ") + ext
}

// device reports whether Windows takes a name that begins so for a device.
func device(stem string) bool {
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(stem, port); ok && digit != "" && strings.Contains("123456789¹²³", digit) {
			return true
		}
	}
	return false
}
