import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { type TSchema, Type } from 'typebox'
import { ErrorAnswer } from '../../agent-protocol/checkpoint.ts'

/** The answer of a route that streams: `line` is the schema of each of its lines. */
export function ndjson<T extends TSchema>(line: T) {
  return {
    description: 'a JSON object a line; an error, too, is a line, the last one',
    content: { [NDJSON]: { schema: line } },
  }
}

/** The answer of a route that streams only to callers who accept that. */
export function jsonOrNdjson(answer: TSchema, line: TSchema) {
  return { content: { [JSON_TYPE]: { schema: answer }, [NDJSON]: { schema: line } } }
}

const NDJSON = 'application/x-ndjson'
const JSON_TYPE = 'application/json'

/** In a route's schema: its body may be left out. */
export const OPTIONAL_BODY = { 'x-optional-body': true }

interface Operation {
  'x-optional-body'?: boolean
  requestBody?: { required?: boolean }
}

/** How the routes' schemas become `/openapi.json`; every route may answer with an error. */
export function openapiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'ckptd',
        version,
        description: 'Model checkpoints of a host: filled, kept, mounted into jobs.',
      },
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json['$id'] === 'string' ? json['$id'] : `schema-${i}`,
    },
    transform: ({ schema, url }) => {
      const errors = { '4xx': errorAnswer('refused'), '5xx': errorAnswer('failed, or not now') }
      const response = { ...(schema.response as object | undefined), ...errors }
      return { schema: { ...schema, response }, url }
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return {}
      const { openapiObject } = document
      for (const path of Object.values(openapiObject.paths ?? {}))
        for (const operation of Object.values(path ?? {}) as Operation[]) {
          if (operation['x-optional-body'] !== true) continue
          if (operation.requestBody !== undefined) operation.requestBody.required = false
          delete operation['x-optional-body']
        }
      return openapiObject
    },
  }
}

function errorAnswer(description: string): TSchema {
  return Type.Object(ErrorAnswer.properties, { description })
}
