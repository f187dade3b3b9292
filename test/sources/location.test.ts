import { describe, expect, test } from 'vitest'
import { CkptdError } from '../../src/model/errors.ts'
import { fullUri, parseSourceLocation } from '../../src/sources/location.ts'
import { PATH_RULES } from '../../src/sources/path-rules.ts'

function refusal(type: string, path: string, options: Record<string, string> = {}): CkptdError {
  try {
    parseSourceLocation(type, path, options)
  } catch (error) {
    if (error instanceof CkptdError) return error
    throw error
  }
  throw new Error(`${type} ${path} was accepted`)
}

describe('a path that breaks the rule of its source is refused with a valid example', () => {
  test.each([
    ['aws', 'https://bucket/key'],
    ['aws', 's3://'],
    ['azure', 'http://account.blob.core.windows.net/c/'],
    ['huggingface', 'just-a-name'],
    ['huggingface', 'https://huggingface.co/a/b'],
    ['gcp', 's3://bucket/'],
    ['git', '/home/me/repo'],
    ['git', 'file:///repo'],
    ['local', './models'],
    ['local', 'models'],
    ['regional', 'models'],
    ['wasabi', 'https://s3.wasabisys.com/b'],
    ['web', 'example.com/model.bin'],
    ['web', 'file:///etc/passwd'],
    ['web', ' https://example.com/a'],
    ['web', 'https://example.com/a\nb'],
    ['web', ''],
    ['web', `https://example.com/${'a'.repeat(9000)}`],
  ] as const)('%s %j', (type, path) => {
    const error = refusal(type, path)
    expect(error.code).toBe('invalid_source')
    expect(error.message).toContain(PATH_RULES[type].example)
    expect(error.message).toContain(PATH_RULES[type].rule)
  })

  test('kaggle: what is valid depends on its type', () => {
    expect(refusal('kaggle', 'owner/name').message).toContain('needs the option "type"')
    expect(refusal('kaggle', 'owner/name', { type: 'model' }).code).toBe('invalid_source')
    expect(refusal('kaggle', 'owner/name', { type: 'competition' }).code).toBe('invalid_source')
    expect(refusal('kaggle', 'titanic', { type: 'dataset' }).code).toBe('invalid_source')
    expect(refusal('kaggle', 'titanic', { type: 'competition' }).code).toBe('unsupported_source')
  })
})

test('valid paths of sources that cannot be filled from yet are told apart from invalid ones', () => {
  const valid = [
    ['aws', 's3://bucket/models/'],
    ['azure', 'https://account.blob.core.windows.net/c/'],
    ['huggingface', 'mistralai/Mistral-7B-v0.1'],
    ['gcp', 'gs://bucket/a.bin'],
    ['git', 'https://github.com/a/b.git'],
    ['git', 'ssh://git@github.com/a/b.git'],
    ['git', 'git@github.com:a/b.git'],
    ['local', '~/models'],
    ['local', '$HOME/models'],
    ['local', '/models'],
    ['regional', '/'],
    ['wasabi', 's3://bucket/'],
    ['web', 'ftp://example.com/a.bin'],
    ['web', 'https://example.com/a.tar.xz'],
    ['web', 'https://example.com/weights.gz'],
  ] as const
  for (const [type, path] of valid) expect(refusal(type, path).code).toBe('unsupported_source')
  expect(refusal('web', 'https://example.com/a.tar.bz2').message).toContain('.tar.bz2')
})

test('unknown source types and options are refused', () => {
  expect(refusal('dropbox', '/a').code).toBe('invalid_source')
  expect(refusal('constructor', '/a').code).toBe('invalid_source')
  expect(refusal('trainml', 'job-1').message).toContain('never by a caller')
  expect(refusal('web', 'https://example.com/a', { branch: 'main' }).message).toContain('none')
  expect(refusal('huggingface', 'a/b', { constructor: 'x' }).message).toContain('branch')
  expect(refusal('huggingface', 'a/b', { branch: '' }).code).toBe('invalid_source')
})

describe('a web address', () => {
  const locate = (uri: string) => parseSourceLocation('web', uri, {})

  test('that ends in "/" is a directory', () => {
    expect(locate('https://example.com/models/')).toMatchObject({ shape: 'directory' })
    expect(locate('https://example.com')).toMatchObject({ shape: 'directory' })
  })
  test('with an archive’s suffix is an archive', () => {
    expect(locate('http://h/a.zip')).toMatchObject({ shape: 'archive', format: 'zip' })
    expect(locate('http://h/A.TAR')).toMatchObject({ shape: 'archive', format: 'tar' })
    expect(locate('http://h/a.tar.gz?sig=1')).toMatchObject({ format: 'tar.gz', name: 'a.tar.gz' })
    expect(locate('http://h/a.tgz')).toMatchObject({ format: 'tar.gz' })
  })
  test('otherwise is one file under its own decoded name', () => {
    expect(locate('http://h/x/caf%C3%A9%20a%2Bb.bin')).toMatchObject({
      shape: 'file',
      name: 'café a+b.bin',
    })
  })
  test.each(['http://h/a%2Fb', 'http://h/%00', 'http://h/a%ff', `http://h/${'a'.repeat(256)}`])(
    'whose last part no file may be named is refused: %s',
    (uri) => expect(refusal('web', uri).code).toBe('invalid_source'),
  )
  test('with a fragment, or a directory with a query, is refused', () => {
    expect(refusal('web', 'http://h/a#1.bin').message).toContain('%23')
    expect(refusal('web', 'http://h/a/?x=1').message).toContain('query')
  })
  test('keeps user information and query apart from what is shown', () => {
    const location = locate('https://me:s3cret@example.com/a.bin?X-Signature=t0ken')
    expect(location.displayUri).toBe('https://example.com/a.bin?…')
    const { secret: _, ...shown } = location
    expect(JSON.stringify(shown)).not.toMatch(/s3cret|t0ken|me:/)
    expect(fullUri(location)).toBe('https://me:s3cret@example.com/a.bin?X-Signature=t0ken')
    expect(locate('https://example.com/a.bin').secret).toBeUndefined()
  })
  test('is never repeated by a refusal', () => {
    for (const uri of [
      'https://me:s3cret@example.com/a#s3cret',
      'https://me:s3cret@exa mple.com/a',
      'https://me:s3cret@example.com/%00',
      'https://me:s3cret@example.com/a.tar.xz?s3cret',
      'wss://me:s3cret@example.com/',
    ])
      expect(
        JSON.stringify([Object.entries(refusal('web', uri)), refusal('web', uri).message]),
      ).not.toContain('s3cret')
  })
})
