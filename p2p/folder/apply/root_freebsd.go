package apply

import "errors"

func renameNoReplace(_, _ spot) error { return errors.ErrUnsupported }

func exchange(_, _ spot) error { return errors.ErrUnsupported }
