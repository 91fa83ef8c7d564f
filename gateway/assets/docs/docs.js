// The API, and calls to it. An answer with an access token logs the page in with it: try a login, and every call after it
// carries the token. It is kept in memory only, and gone when the page is.
'use strict';

function tokenOf(response) {
  if (!response.ok || typeof response.text !== 'string') {
    return undefined;
  }
  try {
    return JSON.parse(response.text).access_token;
  } catch {
    return undefined;
  }
}

window.docs = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: 'none',
  filter: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  // The default sends the document to a host on the net.
  validatorUrl: null,
  withCredentials: false,
  responseInterceptor: (response) => {
    const token = tokenOf(response);
    if (typeof token === 'string' && token !== '') {
      window.docs.preauthorizeApiKey('bearer', token);
    }
    return response;
  },
});
