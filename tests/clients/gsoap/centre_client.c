/* A centre's client of the SOAP face, in C with gSOAP. It is meant to be read, and taken over; build.sh makes it.
 *
 *   centre_client OPERATION <request.xml
 *
 * OPERATION is one of those below; its request is the contract's element, as <Submit xmlns="urn:rakeeza:...">, read
 * into the structure that gSOAP made for it. The answer's element is printed, or that of a fault; the exit code is
 * 22 then.
 *
 * A document goes in the message, up to 1 MB, or by the name of one that was handed in before (contentId). One that is
 * larger goes by REST: of an attachment (MTOM) gSOAP would sign the reference, and what counts is the document itself.
 * The centre's key is RSA: gSOAP writes an ECDSA signature in DER, and XML Signature has the two bare numbers.
 *
 * API            https://licences.example.sa
 * CENTRE_KEY     private key of the centre, RSA (PEM)
 * CENTRE_CERT    the certificate that was issued for it (PEM)
 * CENTRE_PEM     both in one file, for TLS
 * CLERK          amal@centre-7, or amal@centre-7/counter-1 where the clerk works at a device
 * CLERK_SECRET   what the municipality gave the clerk
 * CA             the authority of the server's certificate (PEM)
 * SOAP           1.1 or 1.2
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "LicensingSoap11.nsmap"
#include "soapH.h"
#include "wsseapi.h"

enum { REFUSED = 22, BROKEN = 1, GOOD_FOR = 120 };

/* The Security header of the next message: Timestamp, the clerk's token, the centre's signature over all and Body. */
static int secure(struct soap *soap) {
    FILE *file = fopen(getenv("CENTRE_KEY"), "r");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (!key) {
        return soap_sender_fault(soap, "CENTRE_KEY cannot be read.", NULL);
    }
    fclose(file);
    soap_wsse_add_Timestamp(soap, "timestamp", GOOD_FOR);
    soap_wsse_add_UsernameTokenDigest(soap, "clerk", getenv("CLERK"), getenv("CLERK_SECRET"));
    return soap_wsse_add_BinarySecurityTokenPEM(soap, "certificate", getenv("CENTRE_CERT")) ||
           soap_wsse_add_KeyInfo_SecurityTokenReferenceX509(soap, "#certificate") ||
           soap_wsse_sign_body(soap, SOAP_SMD_SIGN_RSA_SHA256, key, 0);
}

/* One of the contract's operations: reads its request, calls it, prints its answer. */
#define OPERATION(NAME)                                                                                  \
    static int do_##NAME(struct soap *soap, struct soap *plain, const char *url) {                       \
        struct l1__##NAME request;                                                                       \
        struct l1__##NAME##Response answer;                                                              \
        if (soap_read_l1__##NAME(plain, &request)) {                                                     \
            soap_print_fault(plain, stderr);                                                             \
            exit(BROKEN);                                                                                \
        }                                                                                                \
        return secure(soap) || soap_call___l1__##NAME(soap, url, NULL, &request, &answer) ||             \
               (soap_begin_send(plain), soap_put_l1__##NAME##Response(plain, &answer,                    \
                                                                      "l1:" #NAME "Response", NULL)) ||  \
               soap_end_send(plain);                                                                     \
    }

OPERATION(Submit)
OPERATION(GetCase)
OPERATION(PutDocument)
OPERATION(Quote)
OPERATION(Invoice)
OPERATION(GetLicence)
OPERATION(GetDocument)

static const struct {
    const char *name;
    int (*carry_out)(struct soap *, struct soap *, const char *);
} operations[] = {{"Submit", do_Submit},           {"GetCase", do_GetCase}, {"PutDocument", do_PutDocument},
                  {"Quote", do_Quote},             {"Invoice", do_Invoice}, {"GetLicence", do_GetLicence},
                  {"GetDocument", do_GetDocument}};

/* A fault's one element has the name that the contract gives it, and holds the problem. */
#define PRINT(NAME)                                                                   \
    if (detail->l1__##NAME) {                                                         \
        soap_begin_send(plain);                                                       \
        soap_put_l1__Problem(plain, detail->l1__##NAME, "l1:" #NAME, NULL);           \
        soap_end_send(plain);                                                         \
        return REFUSED;                                                               \
    }

/* A fault with another status of HTTP than 400 and 500 is handed over as a text. */
static struct SOAP_ENV__Fault *read_fault(struct soap *plain, const char *text) {
    plain->is = text;
    if (soap_begin_recv(plain) || soap_envelope_begin_in(plain) || soap_recv_header(plain) ||
        soap_body_begin_in(plain) || soap_getfault(plain)) {
        return NULL;
    }
    return plain->fault;
}

static int refused(struct soap *soap, struct soap *plain) {
    struct SOAP_ENV__Fault *fault = soap->fault;
    struct SOAP_ENV__Detail *detail = NULL;
    const char *text = fault ? soap_fault_detail(soap) : NULL;
    if (soap->error > 400 && soap->error < 600 && text) {
        fault = read_fault(plain, text);
    }
    if (fault) {
        detail = fault->detail ? fault->detail : fault->SOAP_ENV__Detail;
    }
    if (detail) {
        PRINT(Conflict)
        PRINT(InvalidInput)
        PRINT(Malformed)
        PRINT(NotAuthenticated)
        PRINT(NotFound)
        PRINT(PermissionDenied)
        PRINT(Problem)
        PRINT(Stale)
        PRINT(TooLarge)
        PRINT(Unavailable)
        PRINT(UnsupportedMediaType)
    }
    soap_print_fault(soap, stderr);
    return BROKEN;
}

int main(int count, char **arguments) {
    struct soap *soap, *plain;
    char url[1024];
    size_t each;
    if (count != 2) {
        fprintf(stderr, "centre_client OPERATION <request.xml\n");
        return BROKEN;
    }
    if (strcmp(getenv("SOAP"), "1.2")) {
        namespaces[0].ns = "http://schemas.xmlsoap.org/soap/envelope/";
        namespaces[1].ns = "http://schemas.xmlsoap.org/soap/encoding/";
    }
    soap = soap_new1(SOAP_XML_CANONICAL | SOAP_C_UTFSTRING);
    plain = soap_new1(SOAP_XML_TREE | SOAP_C_UTFSTRING);
    soap_ssl_init();
    soap_register_plugin(soap, soap_wsse);
    if (soap_ssl_client_context(soap, SOAP_SSL_DEFAULT, getenv("CENTRE_PEM"), NULL, getenv("CA"), NULL, NULL)) {
        soap_print_fault(soap, stderr);
        return BROKEN;
    }
    snprintf(url, sizeof url, "%s/v1/soap", getenv("API"));
    for (each = 0; each < sizeof operations / sizeof *operations; each++) {
        if (!strcmp(operations[each].name, arguments[1])) {
            return operations[each].carry_out(soap, plain, url) ? refused(soap, plain) : 0;
        }
    }
    fprintf(stderr, "%s is no operation of this client.\n", arguments[1]);
    return BROKEN;
}
