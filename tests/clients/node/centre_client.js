// A centre's client of the SOAP face, in JavaScript with node's `soap`. It is meant to be read, and taken over.
//
//   npm ci && node centre_client.js OPERATION <request.json
//
// OPERATION is one of the contract's, as Submit; its request is JSON with the names of the XSD. An application's
// `form` and `applicant` are plain objects, and `content` is base64. The answer is printed as JSON. A refusal is
// printed with the name of its fault, and the exit code is 22 then.
//
// API            https://licences.example.sa
// CENTRE_KEY     private key of the centre, RSA (PEM)
// CENTRE_CERT    the certificate that was issued for it (PEM)
// CLERK          amal@centre-7, or amal@centre-7/counter-1 where the clerk works at a device
// CLERK_SECRET   what the municipality gave the clerk
// CA             the authority of the server's certificate (PEM)
// SOAP           1.1 or 1.2
'use strict';

const { readFileSync } = require('node:fs');
const https = require('node:https');
const soap = require('soap');

const REFUSED = 22;
const { API, CENTRE_KEY, CENTRE_CERT, CLERK, CLERK_SECRET, CA, SOAP } = process.env;
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

async function main(operation) {
  const request = JSON.parse(readFileSync(0, 'utf8'));
  for (const name of ['applicant', 'form']) {
    if (name in request) request[name] = fields(request[name]);
  }
  const client = await soap.createClientAsync(`${API}/v1/soap?wsdl`, {
    wsdl_options: { httpsAgent },
    forceSoap12Headers: SOAP === '1.2',
    handleNilAsNull: true,
  });
  client.setSecurity(security());
  const port = client.Licensing[`LicensingSoap${SOAP.replace('.', '')}`];
  return new Promise((resolve) => {
    port[operation](request, (error, answer) => {
      if (!error) return resolve([0, answer]);
      // The fault's one element has the name that the contract gives it, and holds the problem.
      const fault = error.root?.Envelope.Body.Fault;
      if (!fault) throw error;
      const [[name, problem]] = Object.entries(fault.detail ?? fault.Detail);
      resolve([REFUSED, { fault: name, problem }]);
    }, { httpsAgent });
  });
}

main(process.argv[2]).then(([code, answer]) => {
  process.stdout.write(JSON.stringify(answer));
  process.exitCode = code;
});
