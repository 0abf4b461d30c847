#!/usr/bin/env bash
# What a pipeline does with a configuration file: check it, look at what it would change, apply it, and hear of it when
# somebody changed something by hand. Needs a running cluster, and `flexgate` in PATH or where FLEXGATE says. Ends with 0 if every step ended as it
# must.
set -euo pipefail

flexgate() { command "${FLEXGATE:-flexgate}" "$@"; }

expect() {
  local code=$1 ended=0
  shift
  "$@" >said 2>&1 || ended=$?
  if [ "$ended" -ne "$code" ]; then
    echo "$* ended with $ended instead of $code:" && cat said
    exit 1
  fi
}
says() {
  grep -qF -- "$1" said || { echo "nothing says $1:" && cat said && exit 1; }
}

write() {
  cat >proxy.yml <<FILE
upstreams:
  - name: shop
    url: http://127.0.0.1:9
routes:
  - id: shop
    path: /shop/*
    upstream: shop
    timeout: $1
  - id: cart
    path: /cart/*
    upstream: shop
FILE
}

echo "routes: [{path: /x, upstraem: y}]" >bad.yml
expect 3 flexgate check bad.yml
says 'did you mean `upstream`?'
expect 3 flexgate apply bad.yml

write 5s
expect 0 flexgate check proxy.yml
expect 7 flexgate diff proxy.yml
says "+ route shop"
expect 0 flexgate apply proxy.yml --reason "first delivery"
expect 0 flexgate diff proxy.yml
says "no differences"
expect 0 flexgate apply proxy.yml
says "there is nothing to change"

# Somebody mends something at night. The file does not know, and does not undo it.
expect 0 flexgate routes update shop --timeout 20s
expect 7 flexgate diff proxy.yml
says "route shop was changed by others"
expect 0 flexgate apply proxy.yml
expect 0 flexgate routes get shop -o json
says '"timeout": 20000'

# The file changes the same route: that is for people to decide.
write 7s
expect 5 flexgate apply proxy.yml --dry-run
expect 5 flexgate apply proxy.yml
says 'route "shop" was changed by revision'
says "apply --force"
expect 0 flexgate routes get shop -o json
says '"timeout": 20000'

# A file that agrees is in line again, and wins from then on.
write 20s
expect 0 flexgate apply proxy.yml
write 8s
expect 0 flexgate apply proxy.yml
expect 0 flexgate routes update shop --timeout 21s
write 9s
expect 0 flexgate apply proxy.yml --force
expect 0 flexgate diff proxy.yml

# What disappears from the file goes, what others made stays, unless it is pruned.
expect 0 flexgate routes create --path /by-hand --upstream shop --data '{"id":"by-hand"}'
sed -i '/id: cart/,$d' proxy.yml
expect 7 flexgate diff proxy.yml
says "- route cart"
expect 0 flexgate apply proxy.yml
expect 6 flexgate routes get cart
expect 0 flexgate routes get by-hand
expect 0 flexgate apply proxy.yml --prune
expect 6 flexgate routes get by-hand

# What is exported can be applied again; the history says who did what.
flexgate export >exported.yml
mv proxy.yml kept.yml && cp exported.yml proxy.yml
expect 0 flexgate diff proxy.yml
mv kept.yml proxy.yml
expect 0 flexgate history
says "first delivery"

# A plan is good for the state that it was made for.
write 10s
expect 7 flexgate diff proxy.yml --plan plan.json
expect 0 flexgate apply plan.json
expect 5 flexgate apply plan.json
says "flexgate diff FILE --plan PLAN"

# An export in JSON is a file like any other, and what it is called can be said beside it.
expect 0 flexgate keys create --name "mobile app"
flexgate export -o json >export.json
grep -qF withheldKeys export.json
expect 0 flexgate check export.json
expect 0 flexgate apply export.json --name proxy.yml
expect 0 flexgate diff export.json --name proxy.yml
says "no differences"
expect 2 flexgate apply plan.json --name proxy.yml
expect 2 flexgate apply export.json --name a/b
