#!/bin/sh
# Makes the certificates of this folder: what people get from plain OpenSSL 3.0 commands, and what
# cryptography's builder will not make. The keys are thrown away. Run it in an empty folder.
set -eu
far='-days 36500'

# A CA and a leaf as in any tutorial: no key usage, no authority key identifier in the leaf.
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out plain_ca.pem $far -subj '/CN=plain CA'
openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj '/CN=a.example'
printf 'subjectAltName=DNS:a.example' >san.ext
sign() { openssl x509 -req -in leaf.csr -CA plain_ca.pem -CAkey ca.key -CAcreateserial $far "$@"; }
sign -extfile san.ext -out plain_leaf.pem
sign -out version1_leaf.pem

# What nobody should accept any more.
sign -extfile san.ext -sha1 -out sha1_leaf.pem
sign -extfile san.ext -md5 -out md5_leaf.pem

# One command: a self-signed certificate with the CA bit, for a server.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key \
    -out self_signed.pem $far -subj '/CN=a.example' -addext 'subjectAltName=DNS:a.example'

# A root of X.509 version 1, which has no extensions, and a leaf under it.
openssl req -newkey rsa:2048 -nodes -keyout root1.key -out root1.csr -subj '/CN=version 1 root'
openssl x509 -req -in root1.csr -signkey root1.key $far -out version1_root.pem
openssl x509 -req -in leaf.csr -CA version1_root.pem -CAkey root1.key -CAcreateserial $far \
    -extfile san.ext -out under_version1_root.pem

rm -f *.key *.csr *.srl san.ext
