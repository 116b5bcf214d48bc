package main

import (
	"context"
	"os"

	"github.com/belfry-events/belfry/pkg/run"
)

func main() {
	os.Exit(run.Main("belfry", func(ctx context.Context) error {
		return execute(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	}))
}
