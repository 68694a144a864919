#!/usr/bin/env bash
# build.sh [PROGRAM...]: a real Kubernetes for the tests, built from Go modules; prints the folder it is in.
# The folder is kept under ~/.cache/pushcluster: a second run has nothing to do, and a second one at the same time waits.
# Without arguments: what the API-server tier needs, about five minutes on two cores the first time. `--node`: also what
# runs pods and installs charts, about four minutes more. Exit 3: there is no Go to be had here.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"
version=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" {print $3}' "$here/kubernetes/go.mod")
wanted_go=$(awk '$1 == "go" {print $2}' "$here/kubernetes/go.mod")
bin=$cache/kube/$version
programs=("$@")
((${#programs[@]})) || programs=(etcd kubectl kube-apiserver kube-controller-manager helm)
[[ ${programs[0]} != --node ]] || programs=(kube-scheduler kubelet kube-proxy coredns)

mkdir -p "$bin"
exec 9> "$bin/.lock"
flock 9

# -mod=readonly: go.mod and go.sum beside this script say exactly what is built, and nothing rewrites them.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
minor=${version#v1.}
stamp="-X k8s.io/component-base/version.gitVersion=$version"
stamp+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"

for program in "${programs[@]}"; do
    [[ -x $bin/$program ]] && continue
    go=$(go_program "$wanted_go")
    echo "· building $program" >&2
    case $program in
        etcd) module=etcd package=go.etcd.io/etcd/server/v3 ;;
        coredns) module=coredns package=github.com/coredns/coredns ;;
        helm) module=helm package=helm.sh/helm/v3/cmd/helm ;;
        *) module=kubernetes package=k8s.io/kubernetes/cmd/$program ;;
    esac
    # Under another name until it is whole: an interrupted build leaves no half a program.
    (cd "$here/$module" && "$go" build -ldflags "-s -w $stamp" -o "$bin/.$program" "$package") 9>&-
    mv "$bin/.$program" "$bin/$program"
done
echo "$bin"
