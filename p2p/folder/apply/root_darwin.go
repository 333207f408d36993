package apply

import "golang.org/x/sys/unix"

func renameNoReplace(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error {
		return unix.RenameatxNp(fa, a.name, fb, b.name, unix.RENAME_EXCL)
	})
}

func exchange(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error {
		return unix.RenameatxNp(fa, a.name, fb, b.name, unix.RENAME_SWAP)
	})
}
