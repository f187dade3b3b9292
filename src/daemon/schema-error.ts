/** One of the errors that TypeBox finds, as far as a sentence is made of it. */
interface SchemaError {
  readonly keyword: string
  readonly instancePath: string
  readonly params: object
  readonly message?: string | undefined
}

/**
 * What is wrong with the first field that is wrong: its path (`a.0.b`, empty for the whole) and
 * what it must be (`must be one of "x", "y"`).
 */
export function describeSchemaErrors(errors: readonly SchemaError[]): {
  path: string
  problem: string
} {
  const [first] = errors
  if (first === undefined) return { path: '', problem: 'is not what the schema says' }
  const here = errors.filter(({ instancePath }) => instancePath === first.instancePath)
  const path = first.instancePath.slice(1).replaceAll('/', '.')
  if (first.keyword === 'boolean') return { path, problem: 'is not known' }
  const allowed = here.flatMap(({ params }) =>
    'allowedValue' in params ? [JSON.stringify(params.allowedValue)] : [],
  )
  if (allowed.length > 0)
    return { path, problem: `must be ${allowed.length > 1 ? 'one of ' : ''}${allowed.join(', ')}` }
  // Of a union every kind has its error, and then the union itself.
  const messages = here
    .filter(({ keyword }) => keyword !== 'anyOf')
    .map(({ message = '' }) => message)
  return { path, problem: messages.join(' or ') }
}
