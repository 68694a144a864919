#!/usr/bin/env bash
# gateway-api.sh: prints the file with the CRD of HTTPRoute, which it copies out of the Gateway API's Go module once.
# The file is kept under ~/.cache/pushcluster, by its version. Exit 3: there is no Go to be had here.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"
module=sigs.k8s.io/gateway-api
version=$(awk -v module=$module '$1 == "require" && $2 == module {print $3}' "$here/gateway-api/go.mod")
file=$cache/kube/httproutes-$version.yaml

mkdir -p "${file%/*}"
exec 9> "$cache/kube/.gateway-api.lock"
flock 9

if [[ ! -e $file ]]; then
    go=$(go_program "$(awk '$1 == "go" {print $2}' "$here/gateway-api/go.mod")")
    # -mod=readonly: go.sum beside go.mod says what is taken, and nothing rewrites it.
    export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
    folder=$(cd "$here/gateway-api" && "$go" mod download $module && "$go" list -m -f '{{.Dir}}' $module) 9>&-
    # Under another name until it is whole.
    install -m 644 "$folder/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" "$file.part"
    mv "$file.part" "$file"
fi
echo "$file"
