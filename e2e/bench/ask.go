package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// ask makes one search and fails unless all three nodes answered it.
func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		NodesAnswered int `json:"nodes_answered"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", url, resp.Status, err)
	}
	if answer.NodesAnswered != 3 {
		return fmt.Errorf("%s: %d nodes answered", url, answer.NodesAnswered)
	}
	return nil
}
