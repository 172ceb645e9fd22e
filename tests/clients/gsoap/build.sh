#!/bin/sh
# Makes FOLDER/centre_client from the contract that a server has, and from centre_client.c.
#
#   API=https://licences.example.sa CA=ca.pem sh build.sh FOLDER
#
# It needs curl, gcc, and gSOAP with its libraries (Debian: gsoap, libgsoap-dev). What gSOAP generates is under the
# GPL, or under a licence that is bought: read its terms before you give such a program to others.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
plugins=$(dirname "$(dirname "$(find /usr/share/gsoap /usr/local/share/gsoap -name wsseapi.c 2>/dev/null | head -n 1)")")
mkdir -p "$1"
cd "$1"

curl -sSf --cacert "$CA" "$API/v1/soap?xsd" -o licensing.xsd
curl -sSf --cacert "$CA" "$API/v1/soap?wsdl" |
    sed 's/schemaLocation="[^"]*"/schemaLocation="licensing.xsd"/' >licensing.wsdl
wsdl2h -c -x -n l -o contract.h licensing.wsdl >wsdl2h.log 2>&1
{
    echo '#import "wsse.h"'
    cat contract.h
} >licensing.h
soapcpp2 -c -C -L -x -w "-I$plugins/import" licensing.h >soapcpp2.log 2>&1

# The switches that the libraries themselves were made with: the layout of their structures hangs on them.
gcc -O0 -w $(pkg-config --cflags gsoapssl) -I. "-I$plugins/plugin" "$here/centre_client.c" soapC.c soapClient.c \
    "$plugins/plugin/wsseapi.c" "$plugins/plugin/smdevp.c" "$plugins/plugin/mecevp.c" "$plugins/plugin/threads.c" \
    "$plugins/custom/struct_timeval.c" -o centre_client.new $(pkg-config --libs gsoapssl) -lssl -lcrypto -lz -lpthread
mv centre_client.new centre_client
