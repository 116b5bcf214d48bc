package snippets

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	file string // below the root
	line int
	lang string
	name string // of run=<name>
	text string
}

// blocks reads a document's fenced blocks.
func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), file))
	if err != nil {
		t.Fatal(err)
	}
	const fence = "```"
	var b *block
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		mark, isFence := strings.CutPrefix(strings.TrimSpace(line), fence)
		switch {
		case !isFence && b != nil:
			b.text += line
		case isFence && b != nil:
			all, b = append(all, *b), nil
		case isFence:
			b = &block{file: file, line: n}
			for i, word := range strings.Fields(mark) {
				if name, ok := strings.CutPrefix(word, "run="); ok {
					b.name = name
				} else if i == 0 {
					b.lang = word
				}
			}
		}
	}
	if b != nil {
		t.Fatalf("%s:%d: the block has no end", file, b.line)
	}
	return all
}

// runnable are the languages that a reader may copy and run.
var runnable = []string{"sh", "bash", "shell", "console", "go", "js", "javascript", "mjs", "ts", "typescript", "python", "py"}

// documents are those whose blocks the tests of this package run.
var documents = []string{readme, belfryReadme, wireBook, mailboxReadme}

// notRun are the blocks that are not run, and why.
var notRun = []struct{ file, text, why string }{
	{readme, "make test\n", "it would run itself"},
	{readme, signalRSnippet, "tests/clients/test/readme.test.mjs runs it, where npm is"},
}

// signalRSnippet is what tests/clients takes from the README.
const signalRSnippet = `import * as signalR from "@microsoft/signalr";

const connection = new signalR.HubConnectionBuilder()
  .withUrl("http://127.0.0.1:8080/signalr/v1/mainHub", { accessTokenFactory: () => process.env.TOKEN })
  .withAutomaticReconnect()
  .build();
connection.on("OnEvent", (message) => console.log(message.e, message.p));
await connection.start();
await connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: "invoices", a: ["created"] }] });
`

// TestEveryBlockIsRun: nothing in the documentation can be copied and run that
// no test runs.
func TestEveryBlockIsRun(t *testing.T) {
	t.Parallel()
	excused := make([]bool, len(notRun))
	err := walk(func(path string, _ fs.DirEntry) error {
		if filepath.Ext(path) != ".md" {
			return nil
		}
		names := map[string]bool{}
		for _, b := range blocks(t, path) {
			if !slices.Contains(runnable, b.lang) && b.name == "" {
				continue
			}
			if i := slices.IndexFunc(notRun, func(n struct{ file, text, why string }) bool {
				return n.file == b.file && n.text == b.text
			}); i >= 0 && b.name == "" {
				excused[i] = true
				continue
			}
			switch {
			case b.name == "":
				t.Errorf("%s:%d: a block of %s without run=", b.file, b.line, b.lang)
			case !slices.Contains(documents, b.file):
				t.Errorf("%s:%d: no test runs the blocks of this document", b.file, b.line)
			case names[b.name]:
				t.Errorf("%s:%d: a second run=%s", b.file, b.line, b.name)
			}
			names[b.name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range notRun {
		if !excused[i] {
			t.Errorf("%s has no block %q any more", n.file, n.text)
		}
	}
}
