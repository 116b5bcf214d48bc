#!/bin/sh
# Makes the secrets of compose.yaml, each once: what is there already stays. The files
# are readable, because containers read them as users of their own; the directory is
# not, so nobody else on this machine reaches them.
set -eu
dir="$(dirname "$0")/secrets"
umask 077
mkdir -p "$dir"
chmod 700 "$dir"
for name in nats auth grafana; do
  file="$dir/$name"
  if [ -s "$file" ]; then
    continue
  fi
  head -c 36 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$file.new"
  chmod 644 "$file.new"
  mv "$file.new" "$file"
done
