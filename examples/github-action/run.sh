#!/usr/bin/env bash
# Runs trustomize with what action.yml's inputs say. Every one is given in a
# variable, empty where nobody set it.
set -euo pipefail

fail() {
	printf '::error::%s\n' "$*" >&2
	exit 1
}

args=(materials "$COMMAND")
case $COMMAND:$KEYLESS in
verify:false)
	while IFS= read -r key; do
		[ -z "$key" ] || args+=("--key=$key")
	done <<<"$KEY"
	;;
sign:false)
	args+=("--key=$KEY")
	;;
sign:true)
	[ -z "$KEY" ] || fail 'keyless signs with no key; want one of the inputs key, keyless'
	args+=(--keyless)
	[ -z "$SIGNING_CONFIG" ] || args+=("--signing-config=$SIGNING_CONFIG")
	[ -z "$TRUSTED_ROOT" ] || args+=("--trusted-root=$TRUSTED_ROOT")
	;;
verify:true)
	fail 'what a workflow signed is verified by a policy: trustomize verify --policy FILE'
	;;
*)
	fail 'want verify or sign for command, and true or false for keyless'
	;;
esac
[ "$KEYLESS" = true ] || [ -n "$KEY" ] || fail 'name a key with the input key'
[ -z "$SOURCE" ] || args+=("--source=$SOURCE")
exec "$BINARY" "${args[@]}" -- "$DIRECTORY"
