<?php
// A centre's client of the SOAP face, in PHP with its own SoapClient. It is meant to be read, and taken over.
//
//   php centre_client.php OPERATION <request.json
//
// OPERATION is one of the contract's, as Submit; its request is JSON with the names of the XSD. An application's
// `form` and `applicant` are plain objects, and `content` is base64. The answer is printed as JSON. A refusal is
// printed with the name of its fault, and the exit code is 22 then.
//
// API            https://licences.example.sa
// CENTRE_KEY     private key of the centre, RSA or P-256 (PEM)
// CENTRE_CERT    the certificate that was issued for it (PEM)
// CLERK          amal@centre-7, or amal@centre-7/counter-1 where the clerk works at a device
// CLERK_SECRET   what the municipality gave the clerk
// CA             the authority of the server's certificate (PEM)
// SOAP           1.1 or 1.2
// MTOM           1 to send and take documents beside the message, up to 50 MB; in it they are up to 1 MB
declare(strict_types=1);

const REFUSED = 22;
const GOOD_FOR = 120;
const WSS = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-';
const WSSE = WSS . 'wssecurity-secext-1.0.xsd';
const WSU = WSS . 'wssecurity-utility-1.0.xsd';
const BASE64 = WSS . 'soap-message-security-1.0#Base64Binary';
const X509 = WSS . 'x509-token-profile-1.0#X509v3';
const DIGEST = WSS . 'username-token-profile-1.0#PasswordDigest';
const DS = 'http://www.w3.org/2000/09/xmldsig#';
const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const SHA256 = 'http://www.w3.org/2001/04/xmlenc#sha256';
const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';
const XOP = 'http://www.w3.org/2004/08/xop/include';
const LICENSING = 'urn:rakeeza:licensing:1';

/** SoapClient, which knows neither WS-Security nor MTOM: each message is signed on its way out, and packed. */
final class CentreClient extends SoapClient
{
    public function __doRequest(
        string $request, string $location, string $action, int $version, bool $oneWay = false
    ): ?string {
        $message = signed($request);
        if (getenv('MTOM') !== '1') {
            return parent::__doRequest($message, $location, $action, $version, $oneWay);
        }
        return posted($message, $location, $action, $version === SOAP_1_2 ? 'application/soap+xml' : 'text/xml');
    }
}

/** What the server answers to a message whose document travels beside it (MTOM). */
function posted(string $message, string $location, string $action, string $soap): string
{
    [$parts, $boundary] = [taken_apart($message, $soap), bin2hex(random_bytes(16))];
    $body = '';
    foreach ($parts as [$kind, $name, $octets]) {
        $body .= "--$boundary\r\nContent-Type: $kind\r\nContent-Transfer-Encoding: binary\r\n"
            . "Content-ID: <$name>\r\n\r\n$octets\r\n";
    }
    $type = 'multipart/related; type="application/xop+xml"; start="<message>"; '
        . "start-info=\"$soap\"; boundary=\"$boundary\"";
    $context = stream_context_create(['ssl' => tls(), 'http' => [
        'method' => 'POST',
        'header' => ["Content-Type: $type", "SOAPAction: \"$action\"", 'Connection: close'],
        'content' => "$body--$boundary--\r\n",
        'ignore_errors' => true,
    ]]);
    $answer = file_get_contents($location, false, $context);
    return put_together($answer, implode("\n", $http_response_header));
}

/** The message without its document, and the document. It was signed in its place, as base64. */
function taken_apart(string $message, string $soap): array
{
    $document = new DOMDocument();
    $document->loadXML($message, LIBXML_PARSEHUGE);
    $content = $document->getElementsByTagNameNS(LICENSING, 'content')->item(0);
    $kind = "application/xop+xml; charset=UTF-8; type=\"$soap\"";
    if ($content === null) {
        return [[$kind, 'message', $message]];
    }
    $octets = base64_decode($content->textContent);
    $content->textContent = '';
    child($content, XOP, 'xop:Include')->setAttribute('href', 'cid:document');
    return [[$kind, 'message', $document->saveXML()], ['application/octet-stream', 'document', $octets]];
}

/** An answer as SoapClient reads it: a document beside it is put into its place. */
function put_together(string $answer, string $headers): string
{
    if (!preg_match('~^Content-Type: multipart/related;.*boundary="([^"]+)"~mi', $headers, $found)) {
        return $answer;
    }
    $found_parts = [];
    foreach (array_slice(explode("--$found[1]", $answer), 1, -1) as $part) {
        [$head, $octets] = explode("\r\n\r\n", $part, 2);
        preg_match('/^Content-ID: <([^>]+)>/mi', $head, $name);
        $found_parts[$name[1]] = substr($octets, 0, -2);
    }
    return preg_replace_callback(
        '~<(\w+:)?Include\b[^>]*href="cid:([^"]+)"[^>]*/>~',
        fn (array $include) => base64_encode($found_parts[$include[2]]),
        reset($found_parts),
    );
}

/** A message with its Security header: Timestamp, the clerk's token, the centre's signature over all and Body. */
function signed(string $message): string
{
    $document = new DOMDocument();
    $document->loadXML($message);
    $envelope = $document->documentElement;
    $soap = $envelope->namespaceURI;
    $body = $envelope->getElementsByTagNameNS($soap, 'Body')->item(0);
    $header = $document->createElementNS($soap, "{$envelope->prefix}:Header");
    $envelope->insertBefore($header, $body);
    $security = child($header, WSSE, 'wsse:Security');
    $security->setAttributeNS($soap, "{$envelope->prefix}:mustUnderstand", '1');

    $timestamp = child($security, WSU, 'wsu:Timestamp');
    child($timestamp, WSU, 'wsu:Created', moment());
    child($timestamp, WSU, 'wsu:Expires', moment(GOOD_FOR));
    $token = username_token($security);
    $certificate = child($security, WSSE, 'wsse:BinarySecurityToken', in_base64('CENTRE_CERT'));
    $certificate->setAttribute('EncodingType', BASE64);
    $certificate->setAttribute('ValueType', X509);
    $certificate->setAttributeNS(WSU, 'wsu:Id', 'certificate');

    $signature = child($security, DS, 'ds:Signature');
    $info = child($signature, DS, 'ds:SignedInfo');
    child($info, DS, 'ds:CanonicalizationMethod')->setAttribute('Algorithm', EXCLUSIVE);
    $key = openssl_pkey_get_private(file_get_contents(getenv('CENTRE_KEY')));
    $elliptic = openssl_pkey_get_details($key)['type'] === OPENSSL_KEYTYPE_EC;
    child($info, DS, 'ds:SignatureMethod')->setAttribute('Algorithm', $elliptic ? ECDSA_SHA256 : RSA_SHA256);
    foreach (['body' => $body, 'timestamp' => $timestamp, 'token' => $token] as $id => $element) {
        $element->setAttributeNS(WSU, 'wsu:Id', $id);
        add_reference($info, $id, $element);
    }
    openssl_sign($info->C14N(true), $value, $key, OPENSSL_ALGO_SHA256);
    child($signature, DS, 'ds:SignatureValue', base64_encode($elliptic ? two_numbers($value) : $value));
    $named = child(child($signature, DS, 'ds:KeyInfo'), WSSE, 'wsse:SecurityTokenReference');
    $reference = child($named, WSSE, 'wsse:Reference');
    $reference->setAttribute('URI', '#certificate');
    $reference->setAttribute('ValueType', X509);
    return $document->saveXML();
}

/** The clerk, who proves by a digest that he knows his secret. */
function username_token(DOMElement $security): DOMElement
{
    $token = child($security, WSSE, 'wsse:UsernameToken');
    [$nonce, $created] = [random_bytes(16), moment()];
    child($token, WSSE, 'wsse:Username', getenv('CLERK'));
    $digest = sha1($nonce . $created . getenv('CLERK_SECRET'), true);
    child($token, WSSE, 'wsse:Password', base64_encode($digest))->setAttribute('Type', DIGEST);
    child($token, WSSE, 'wsse:Nonce', base64_encode($nonce))->setAttribute('EncodingType', BASE64);
    child($token, WSU, 'wsu:Created', $created);
    return $token;
}

/** An ECDSA signature as XML has it: the two numbers of 32 bytes, and not the DER that OpenSSL makes. */
function two_numbers(string $der): string
{
    $length = ord($der[3]);
    $numbers = [substr($der, 4, $length), substr($der, 6 + $length)];
    return implode('', array_map(
        fn (string $number) => str_pad(ltrim($number, "\0"), 32, "\0", STR_PAD_LEFT), $numbers
    ));
}

/** Says in SignedInfo that the signature covers an element. */
function add_reference(DOMElement $info, string $id, DOMElement $element): void
{
    $reference = child($info, DS, 'ds:Reference');
    $reference->setAttribute('URI', "#$id");
    $transforms = child($reference, DS, 'ds:Transforms');
    child($transforms, DS, 'ds:Transform')->setAttribute('Algorithm', EXCLUSIVE);
    child($reference, DS, 'ds:DigestMethod')->setAttribute('Algorithm', SHA256);
    child($reference, DS, 'ds:DigestValue', base64_encode(hash('sha256', $element->C14N(true), true)));
}

function child(DOMElement $parent, string $namespace, string $name, string $text = ''): DOMElement
{
    $made = $parent->ownerDocument->createElementNS($namespace, $name);
    $made->textContent = $text;
    return $parent->appendChild($made);
}

function moment(int $later = 0): string
{
    return gmdate('Y-m-d\TH:i:s\Z', time() + $later);
}

/** What a PEM file holds, without its first and last line. */
function in_base64(string $variable): string
{
    return preg_replace('/-----[^-]*-----|\s/', '', file_get_contents(getenv($variable)));
}

/** A plain object as the contract's Fields. */
function fields(object $values): array
{
    $found = [];
    foreach ($values as $name => $given) {
        $found[] = ['name' => (string) $name] + value($given);
    }
    return ['field' => $found];
}

/** One of the contract's values: a text, number, flag, nothing, list or object. */
function value(mixed $given): array
{
    return match (true) {
        is_bool($given) => ['flag' => $given],
        is_int($given), is_float($given) => ['number' => $given],
        $given === null => ['nothing' => true],
        is_array($given) => ['list' => ['item' => array_map(value(...), $given)]],
        is_object($given) => ['object' => fields($given)],
        default => ['text' => $given],
    };
}

/** What TLS is made with. */
function tls(): array
{
    return [
        'local_cert' => getenv('CENTRE_CERT'),
        'local_pk' => getenv('CENTRE_KEY'),
        'cafile' => getenv('CA'),
    ];
}

/** The contract's operations as methods, made from the WSDL that the server has. */
function client(): CentreClient
{
    return new CentreClient(getenv('API') . '/v1/soap?wsdl', [
        'soap_version' => getenv('SOAP') === '1.2' ? SOAP_1_2 : SOAP_1_1,
        'stream_context' => stream_context_create(['ssl' => tls()]),
        'cache_wsdl' => WSDL_CACHE_NONE,
        'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
    ]);
}

$request = json_decode(stream_get_contents(STDIN), false, 512, JSON_THROW_ON_ERROR);
foreach (['applicant', 'form'] as $name) {
    if (isset($request->$name)) {
        $request->$name = fields($request->$name);
    }
}
if (isset($request->content)) {
    $request->content = base64_decode($request->content);
}
$code = 0;
try {
    $answer = client()->__soapCall($argv[1], [$request]);
    if (isset($answer->content)) {
        $answer->content = base64_encode($answer->content);
    }
} catch (SoapFault $fault) {
    if (!isset($fault->detail)) {
        throw $fault;
    }
    // The fault's one element has the name that the contract gives it, and holds the problem.
    [$name, $problem] = [array_key_first((array) $fault->detail), current((array) $fault->detail)];
    [$answer, $code] = [['fault' => $name, 'problem' => $problem], REFUSED];
}
echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE);
exit($code);
