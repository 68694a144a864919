#!/usr/bin/env bash
# crds.sh FOLDER: prints a file with CRDs of others, which it copies out of a Go module once: FOLDER/go.mod names the
# module, FOLDER/files what is wanted of it. It is kept under ~/.cache/pushcluster, by the module's version. Exit 3:
# there is no Go to be had here.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"
name=$1
read -r module version < <(awk '$1 == "require" {print $2, $3}' "$here/$name/go.mod")
file=$cache/kube/$name-$version.yaml

mkdir -p "${file%/*}"
exec 9> "$cache/kube/.$name.lock"
flock 9

if [[ ! -e $file ]]; then
    go=$(go_program "$(awk '$1 == "go" {print $2}' "$here/$name/go.mod")")
    # -mod=readonly: go.sum beside go.mod says what is taken, and nothing rewrites it.
    export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
    folder=$(cd "$here/$name" && "$go" mod download "$module" && "$go" list -m -f '{{.Dir}}' "$module") 9>&-
    # Under another name until it is whole.
    while read -r one; do
        echo "---"
        cat "$folder/$one"
    done < "$here/$name/files" > "$file.part"
    mv "$file.part" "$file"
fi
echo "$file"
