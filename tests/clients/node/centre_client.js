// A centre's client of the SOAP face, in JavaScript with node's `soap`. It is meant to be read, and taken over.
//
//   npm ci && node centre_client.js OPERATION <request.json
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
'use strict';

const crypto = require('node:crypto');
const { readFileSync } = require('node:fs');
const https = require('node:https');
const soap = require('soap');

const REFUSED = 22;
const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';
const XOP = 'http://www.w3.org/2004/08/xop/include';
const { API, CENTRE_KEY, CENTRE_CERT, CLERK, CLERK_SECRET, CA, SOAP, MTOM } = process.env;
const key = readFileSync(CENTRE_KEY, 'utf8');
const cert = readFileSync(CENTRE_CERT, 'utf8');
const httpsAgent = new https.Agent({ key, cert, ca: readFileSync(CA) });

// The clerk's token. The library makes its id of the time of day, whose colons no XML id may hold; an unsigned
// token could go by any, but only a signed one can name a device.
class ClerkToken extends soap.WSSecurity {
  toXML() {
    return super.toXML().replace(/wsu:Id="[^"]*"/, 'wsu:Id="clerk"');
  }
}

// What the library lacks: the two numbers of an ECDSA signature, one after the other (XML Signature, 6.4.3).
class EcdsaSha256 {
  getSignature(info, { key: pem }) {
    return crypto.sign('sha256', Buffer.from(info), { key: pem, dsaEncoding: 'ieee-p1363' }).toString('base64');
  }

  getAlgorithmName() {
    return ECDSA_SHA256;
  }
}

// Sends a message with its document beside it (MTOM). It was signed with the document in its place, as base64:
// there the server puts it back. The library itself would sign the reference, and knows it of SOAP 1.1 alone.
class Packing extends soap.HttpClient {
  buildRequest(url, data, headers, options) {
    const built = super.buildRequest(url, data, headers, options);
    const found = /<((?:\w+:)?content)([^<>]*)>([^<]+)<\/\1>/.exec(data ?? '');
    if (MTOM !== '1' || !found) return built;
    const [whole, name, attributes, base64] = found;
    const include = `<xop:Include xmlns:xop="${XOP}" href="cid:document"/>`;
    const message = data.replace(whole, () => `<${name}${attributes}>${include}</${name}>`);
    const type = SOAP === '1.2' ? 'application/soap+xml' : 'text/xml';
    const boundary = crypto.randomUUID();
    const part = (kind, id, octets) => [
      Buffer.from(`--${boundary}\r\nContent-Type: ${kind}\r\nContent-Transfer-Encoding: binary\r\n`
        + `Content-ID: <${id}>\r\n\r\n`),
      Buffer.from(octets, id === 'document' ? 'base64' : 'utf8'),
      Buffer.from('\r\n'),
    ];
    built.data = Buffer.concat([
      ...part(`application/xop+xml; charset=UTF-8; type="${type}"`, 'message', message),
      ...part('application/octet-stream', 'document', base64),
      Buffer.from(`--${boundary}--\r\n`),
    ]);
    built.headers['Content-Type'] = `multipart/related; type="application/xop+xml"; start="<message>"; `
      + `start-info="${type}"; boundary="${boundary}"`;
    built.headers['Content-Length'] = built.data.length;
    return built;
  }
}

// Timestamp, the clerk's token by digest, and the centre's signature over Body, Timestamp and token.
function security() {
  const token = new ClerkToken(CLERK, CLERK_SECRET, {
    passwordType: 'PasswordDigest', hasNonce: true, hasTokenCreated: true, hasTimeStamp: false,
  });
  const signature = new soap.WSSecurityCert(key, cert, '', {
    hasTimeStamp: true,
    additionalReferences: ['wsse:UsernameToken'],
    signatureTransformations: ['http://www.w3.org/2001/10/xml-exc-c14n#'],
  });
  if (crypto.createPrivateKey(key).asymmetricKeyType === 'ec') {
    signature.signer.SignatureAlgorithms[ECDSA_SHA256] = EcdsaSha256;
    signature.signer.signatureAlgorithm = ECDSA_SHA256;
  }
  return new soap.WSSecurityPlusCert(token, signature);
}

// A plain object as the contract's Fields.
function fields(values) {
  return {
    field: Object.entries(values).map(([name, given]) => ({ attributes: { name }, ...value(given) })),
  };
}

// One of the contract's values: a text, number, flag, nothing, list or object.
function value(given) {
  if (given === null) return { nothing: true };
  if (Array.isArray(given)) return { list: { item: given.map(value) } };
  switch (typeof given) {
    case 'boolean': return { flag: given };
    case 'number': return { number: given };
    case 'object': return { object: fields(given) };
    default: return { text: given };
  }
}

// An answer with the document that came beside it, as base64.
function inPlace(answer, attachments) {
  const href = answer?.content?.Include?.attributes?.href;
  if (!href) return answer;
  const wanted = `<${href.replace('cid:', '')}>`;
  const { body } = attachments.parts.find(({ headers }) => headers['content-id'] === wanted);
  return { ...answer, content: body.toString('base64') };
}

async function main(operation) {
  const request = JSON.parse(readFileSync(0, 'utf8'));
  for (const name of ['applicant', 'form']) {
    if (name in request) request[name] = fields(request[name]);
  }
  const client = await soap.createClientAsync(`${API}/v1/soap?wsdl`, {
    wsdl_options: { httpsAgent },
    forceSoap12Headers: SOAP === '1.2',
    handleNilAsNull: true,
    httpClient: new Packing({ parseResponseAttachments: true }),
  });
  client.setSecurity(security());
  const port = client.Licensing[`LicensingSoap${SOAP.replace('.', '')}`];
  return new Promise((resolve) => {
    port[operation](request, (error, answer) => {
      if (!error) return resolve([0, inPlace(answer, client.lastResponseAttachments)]);
      // The fault's one element has the name that the contract gives it, and holds the problem.
      const fault = error.root?.Envelope.Body.Fault;
      if (!fault) throw error;
      const [[name, problem]] = Object.entries(fault.detail ?? fault.Detail);
      resolve([REFUSED, { fault: name, problem }]);
    }, { httpsAgent }, MTOM === '1' ? { Accept: 'multipart/related, application/xop+xml, */*' } : {});
  });
}

main(process.argv[2]).then(([code, answer]) => {
  process.stdout.write(JSON.stringify(answer));
  process.exitCode = code;
});
