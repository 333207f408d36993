package search

import "strings"

// The types of documents.
const (
	TypeMarkdown = "markdown"
	TypeHTML     = "html"
	TypeText     = "text"
	TypeCode     = "code" // programs and configuration
	TypePDF      = "pdf"
	TypeDocument = "document" // of an office program, or published without a file
	TypeImage    = "image"
	TypeAudio    = "audio"
	TypeVideo    = "video"
	TypeArchive  = "archive"
	TypeOther    = "other"
)

// TypeOf returns what type of file a name promises, TypeOther when it says
// nothing. Only the content can tell whether a promise of text is kept; see
// package extract.
func TypeOf(name string) string {
	name = strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	dot := strings.LastIndexByte(name, '.')
	switch extension := name[dot+1:]; {
	case dot < 0 || dot == 0 && !isCode(extension):
		return bareName(name)
	case isCode(extension):
		return TypeCode
	default:
		return extensionType(extension)
	}
}

// bareName knows files that have no extension.
func bareName(name string) string {
	switch name {
	case "makefile", "gnumakefile", "dockerfile", "containerfile", "vagrantfile", "jenkinsfile", "rakefile",
		"gemfile", "procfile", "brewfile", "justfile", "caddyfile", "kconfig",
		".gitignore", ".gitattributes", ".gitmodules", ".dockerignore", ".editorconfig", ".env",
		".bashrc", ".profile", ".zshrc", ".vimrc", ".npmrc":
		return TypeCode
	case "readme", "license", "licence", "copying", "notice", "authors", "changelog", "news", "todo", "install":
		return TypeText
	}
	return TypeOther
}

func extensionType(extension string) string {
	switch extension {
	case "md", "markdown", "mdown", "mkd", "mdx":
		return TypeMarkdown
	case "html", "htm", "xhtml", "shtml":
		return TypeHTML
	case "txt", "text", "log", "rst", "adoc", "asciidoc", "org", "tex", "bib", "srt", "vtt", "sub",
		"csv", "tsv", "me", "nfo", "diff", "patch", "eml", "ics", "vcf", "po":
		return TypeText
	case "pdf":
		return TypePDF
	case "docx", "doc", "odt", "rtf", "epub", "mobi", "pptx", "ppt", "odp", "xlsx", "xls", "ods", "odg",
		"pages", "numbers", "key", "djvu", "ps":
		return TypeDocument
	case "jpg", "jpeg", "png", "gif", "webp", "avif", "heic", "heif", "bmp", "tif", "tiff", "ico", "raw",
		"cr2", "nef", "dng", "psd", "xcf", "svg", "svgz", "jxl":
		return TypeImage
	case "mp3", "flac", "ogg", "oga", "opus", "wav", "m4a", "aac", "wma", "aiff", "mid", "midi":
		return TypeAudio
	case "mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "wmv", "flv", "ogv", "3gp":
		return TypeVideo
	case "zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "lz4", "lzma", "jar", "war", "apk",
		"deb", "rpm", "iso", "img", "dmg", "cab":
		return TypeArchive
	}
	return TypeOther
}

func isCode(extension string) bool {
	switch extension {
	case "go", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "m", "mm", "rs", "zig", "d", "nim",
		"java", "kt", "kts", "scala", "groovy", "gradle", "clj", "cljs", "cs", "fs", "fsx", "vb",
		"js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "svelte", "vue", "astro",
		"css", "scss", "sass", "less", "py", "pyi", "pyx", "rb", "php", "pl", "pm", "lua", "tcl", "r", "jl",
		"swift", "dart", "ex", "exs", "erl", "hrl", "hs", "ml", "mli", "elm", "lisp", "el", "scm", "rkt",
		"sh", "bash", "zsh", "fish", "ps1", "psm1", "bat", "cmd", "awk", "sed", "asm", "s",
		"sql", "graphql", "gql", "proto", "thrift", "cue", "hcl", "tf", "nix", "cmake", "mk", "ninja", "bzl",
		"json", "json5", "jsonl", "ndjson", "yaml", "yml", "toml", "ini", "cfg", "conf", "config", "properties",
		"env", "xml", "xsd", "xsl", "xslt", "plist", "service", "timer", "socket", "desktop", "rules",
		"mod", "sum", "work", "lock", "tmpl", "tpl", "j2", "jinja", "erb", "ejs", "hbs", "dockerfile",
		"f", "f90", "f95", "for", "pas", "v", "sv", "vhd", "vhdl", "ino", "glsl", "hlsl", "wgsl", "cu", "ipynb":
		return true
	}
	return false
}
