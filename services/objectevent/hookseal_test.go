package objectevent

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/belfry-events/belfry/pkg/fault"
	objecteventv1 "github.com/belfry-events/belfry/proto/belfry/objectevent/v1"
)

// keyFile writes a file of keys.
func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// raw is what the store has of AA's hooks, and its text.
func (w *hookWorld) raw() (all tenantHooks, text string) {
	w.t.Helper()
	kv, err := w.h.store.kept.open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	entry, err := kv.Get(w.t.Context(), "AA")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.h.store.kept.get(w.t.Context(), "AA", &all); err != nil {
		w.t.Fatal(err)
	}
	return all, string(entry.Value())
}

// TestOE4SecretsAreSealed: what lay in the store in the clear is sealed when a process
// with a key starts, under a new key when there is one, and still signs; who has no
// key, or takes a sealed secret to another hook, opens nothing.
func TestOE4SecretsAreSealed(t *testing.T) {
	t.Parallel()
	clear := newHookWorld(t)
	clear.register("guard", object{"url": "https://example.com/"})
	clear.register("other", object{"url": "https://example.com/"})
	clear.register("listens", object{})
	before, err := clear.h.store.list(t.Context(), "AA")
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(before[0].Secrets[0].Key)
	if _, text := clear.raw(); !strings.Contains(text, key) {
		t.Fatalf("without a key it is not there: %s", text)
	}

	old, young := strings.Repeat("o", minSealKey), strings.Repeat("y", minSealKey)
	sealed := newHookWorld(t, on(clear), hookConfigured(func(c *HookConfig) { c.KeyFile = keyFile(t, old) }))
	sealed.h.resealAll(t.Context())
	first, text := sealed.raw()
	if strings.Contains(text, key) || first.Hooks[0].Secrets[0].By == "" {
		t.Errorf("in the clear: %s", text)
	}
	if after, err := sealed.h.store.list(t.Context(), "AA"); err != nil || cmp.Diff(before, after) != "" {
		t.Errorf("%v %s", err, cmp.Diff(before, after))
	}
	if n, err := sealed.h.store.reseal(t.Context()); n != 0 || err != nil {
		t.Errorf("sealed again: %d %v", n, err)
	}

	rotated := newHookWorld(t, on(clear), hookConfigured(func(c *HookConfig) { c.KeyFile = keyFile(t, young, "", old) }))
	rotated.h.resealAll(t.Context())
	if now, _ := rotated.raw(); now.Hooks[0].Secrets[0].By == first.Hooks[0].Secrets[0].By {
		t.Error("still under the old key")
	}
	if after, err := rotated.h.store.list(t.Context(), "AA"); err != nil || cmp.Diff(before, after) != "" {
		t.Errorf("under the new key: %v %s", err, cmp.Diff(before, after))
	}

	// A process that has only the old one, or none, cannot sign, and says so; what it
	// changes leaves the sealed ones as they are.
	for name, w := range map[string]*hookWorld{"the old one": sealed, "none": clear} {
		var tried objecteventv1.TestHookResponse
		if err := w.call("POST", "/v1/hooks/guard/test", object{}, &tried); err != nil {
			t.Fatal(err)
		}
		if a := tried.GetAnswer(); a.GetOutcome() != string(Absent) || a.GetReason() != errSealed.Error() {
			t.Errorf("with %s: %v", name, a)
		}
		was, _ := w.raw()
		w.register("new-"+strings.ReplaceAll(name, " ", "-"), object{})
		now, _ := w.raw()
		if d := cmp.Diff(was.Hooks[0].Secrets, now.Hooks[0].Secrets); d != "" {
			t.Errorf("with %s: %s", name, d)
		}
	}

	// A sealed secret is that of its hook.
	all, _ := rotated.raw()
	i, j := indexOf(all.Hooks, "guard"), indexOf(all.Hooks, "other")
	all.Hooks[j].Secrets = slices.Clone(all.Hooks[i].Secrets)
	rotated.h.store.sealer.open("AA", all.Hooks)
	if len(all.Hooks[j].Secrets[0].Key) != 0 {
		t.Error("opened in another hook")
	}
}

// TestHookKeyFiles that cannot be are refused, by the key of the configuration.
func TestHookKeyFiles(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"none": filepath.Join(t.TempDir(), "none"), "empty": keyFile(t, "", " "), "a folder": t.TempDir(),
		"too short": keyFile(t, strings.Repeat("x", minSealKey), strings.Repeat("x", minSealKey-1)),
	} {
		_, err := newSealer(file)
		if fault.CodeOf(err) != fault.InvalidConfig || fault.From(err).Details()["field"] != "objectevent.hook_key_file" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
