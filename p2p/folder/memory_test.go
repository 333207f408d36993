package folder_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/foldertest"
)

func TestMemory(t *testing.T) {
	foldertest.Run(t, func(*testing.T) folder.Store { return folder.NewMemory() })
}
