#!/bin/sh
# Sends one request to the licensing API as a private service centre and its clerk: signs with openssl, sends with
# curl, and needs nothing else. docs/centres.md tells what each line is for.
#
#   sh sign.sh METHOD PATH [FILE]       FILE is the body; "-" or none is an empty one
#
# API            https://licences.example.sa
# CENTRE         the centre's code
# CENTRE_KEY     its private key, P-256 or RSA (PEM)
# CENTRE_CERT    the certificate that was issued for it (PEM)
# CLERK_KEY      the clerk's private key, P-256 (PEM)
# DEVICE         code of the device, where the clerk works at one
# IDEMPOTENCY    the key of this write; without it a new one is made, and told on standard error
# IF_MATCH       the version that is to be changed, as "\"3\""
# CONTENT_TYPE   of the body; application/json without it
# TOKEN          an access token; without it one is asked for under the centre's key
# CURL           more for curl, as "--cacert ca.pem"
#
# The answer's body goes to standard output, its status to standard error; the exit code is 0 for 2xx, 22 else.
set -eu

method=$1 path=$2 file=${3:--}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
if [ "$file" = - ]; then : >"$work/body"; else cp "$file" "$work/body"; fi

b64() { openssl base64 -A; }
b64url() { b64 | tr '+/' '-_' | tr -d '='; }
random() { openssl rand -hex 16; }
sha256_hex() { openssl dgst -sha256 -binary | od -An -v -tx1 | tr -d ' \n'; }

# Hexadecimal digits to bytes.
unhex() {
    printf "$(awk -v hex="$1" 'BEGIN {
        digits = "0123456789abcdef"
        for (i = 1; i < length(hex); i += 2)
            printf "\\%03o", 16 * (index(digits, substr(hex, i, 1)) - 1) + index(digits, substr(hex, i + 1, 1)) - 1
    }')"
}

is_rsa() { openssl rsa -in "$1" -noout 2>/dev/null; }

# Of an ECDSA signature in DER the two numbers, 32 bytes each; a shorter one is filled up.
two_numbers() {
    unhex "$(openssl asn1parse -inform DER |
        sed -n 's/.*INTEGER *:\([0-9A-F]*\)$/\1/p' | tr A-F a-f |
        while read -r number; do printf '%64s' "$number" | tr ' ' 0; done)"
}

# Signs standard input with a key.
sign() {
    openssl dgst -sha256 -sign "$1" >"$work/signature"
    if is_rsa "$1"; then cat "$work/signature"; else two_numbers <"$work/signature"; fi
}

algorithm() { if is_rsa "$1"; then echo rsa-v1_5-sha256; else echo ecdsa-p256-sha256; fi; }

# Sets $token.
ask_for_token() {
    now=$(date +%s)
    if is_rsa "$CENTRE_KEY"; then alg=RS256; else alg=ES256; fi
    head=$(printf '{"alg":"%s","typ":"JWT"}' "$alg" | b64url)
    claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","jti":"%s","iat":%d,"exp":%d}' \
        "$CENTRE" "$CENTRE" "$API/v1/oauth/token" "$(random)" "$now" "$((now + 120))" | b64url)
    signature=$(printf '%s.%s' "$head" "$claims" | sign "$CENTRE_KEY" | b64url)
    # shellcheck disable=SC2086 # CURL is several words
    status=$(curl -sS ${CURL:-} -o "$work/token" -w '%{http_code}' "$API/v1/oauth/token" \
        -d grant_type=client_credentials \
        -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
        -d "client_assertion=$head.$claims.$signature")
    if [ "$status" != 200 ]; then
        cat "$work/token"
        echo "HTTP $status" >&2
        exit 22
    fi
    token=$(sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p' "$work/token")
}

token=${TOKEN:-}
[ -n "$token" ] || ask_for_token
digest="sha-256=:$(openssl dgst -sha256 -binary <"$work/body" | b64):"
key=
case $method in GET | HEAD) ;; *) key=${IDEMPOTENCY:-$(random)} && echo "Idempotency-Key: $key" >&2 ;; esac

# What both sign, line by line, and the same names as the list in Signature-Input has them.
lines=$work/lines covered=
cover() {
    covered="$covered${covered:+ }\"$1\""
    printf '"%s": %s\n' "$1" "$2" >>"$lines"
}
cover @method "$method"
cover @target-uri "$API$path"
cover authorization "Bearer $token"
case $method in GET | HEAD) ;; *) cover content-digest "$digest" ;; esac
[ -z "$key" ] || cover idempotency-key "$key"
[ -z "${IF_MATCH:-}" ] || cover if-match "$IF_MATCH"
[ -z "${DEVICE:-}" ] || cover centre-device "$DEVICE"

# The label, the private key and its keyid; what it says goes into $said, the signature into $signed.
signature_of() {
    now=$(date +%s)
    said="($covered);created=$now;expires=$((now + 120));nonce=\"$(random)\";keyid=\"$2\";alg=\"$(algorithm "$1")\""
    { cat "$lines" && printf '"@signature-params": %s' "$said"; } >"$work/base"
    signed=$(sign "$1" <"$work/base" | b64)
}

signature_of "$CENTRE_KEY" "$(openssl x509 -in "$CENTRE_CERT" -outform DER | sha256_hex)"
inputs="centre=$said" signatures="centre=:$signed:"
if [ -n "${CLERK_KEY:-}" ]; then
    signature_of "$CLERK_KEY" "$(openssl pkey -in "$CLERK_KEY" -pubout -outform DER | sha256_hex)"
    inputs="$inputs, clerk=$said" signatures="$signatures, clerk=:$signed:"
fi

set -- -H "Authorization: Bearer $token" -H "Signature-Input: $inputs" -H "Signature: $signatures"
[ -z "$key" ] || set -- "$@" -H "Idempotency-Key: $key"
[ -z "${IF_MATCH:-}" ] || set -- "$@" -H "If-Match: $IF_MATCH"
[ -z "${DEVICE:-}" ] || set -- "$@" -H "Centre-Device: $DEVICE"
case $method in
GET) ;;
HEAD) set -- "$@" --head ;;
*) set -- "$@" -X "$method" -H "Content-Digest: $digest" --data-binary "@$work/body"
    if [ -s "$work/body" ]; then
        set -- "$@" -H "Content-Type: ${CONTENT_TYPE:-application/json}"
    else
        set -- "$@" -H 'Content-Type:'
    fi ;;
esac
# shellcheck disable=SC2086 # CURL is several words
status=$(curl -sS ${CURL:-} -o "$work/answer" -w '%{http_code}' "$@" "$API$path")
cat "$work/answer"
echo "HTTP $status" >&2
case $status in 2??) ;; *) exit 22 ;; esac
