/** An address as it may be shown: without user information, the query as `?…`, no fragment. */
export function displayUri(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`
}
