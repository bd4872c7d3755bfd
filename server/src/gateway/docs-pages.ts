// /docs and /docs/problems: the API as pages without a script, rendered once from the OpenAPI document and the
// problem table. They work offline and under a policy that lets nothing run.

import { createHash } from 'node:crypto'
import { problems } from '@millrace/contract'
import { openapiDocument, problemCodes, type Json, type JsonObject } from './openapi.ts'

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1.5rem; }
nav a { margin-right: 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; background: color-mix(in srgb, currentColor 6%, transparent); padding: .75rem; border-radius: 6px; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
:target { outline: 2px solid; outline-offset: 2px; }
`

export const docsStyleSha256 = createHash('sha256').update(style).digest('base64')

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><style>${style}</style></head><body>
<nav><a href="/docs">Operations</a><a href="/docs/problems">Problems</a><a href="/openapi.json">openapi.json</a></nav>
<h1>${escape(title)}</h1>
${body}
</body></html>
`

/** The operations by tag, each with parameters, body and answers. */
export function operationsPage(): string {
  // Our own document: the shapes are those that openapi.ts has just written.
  const document = openapiDocument() as {
    tags: { name: string; description: string }[]
    paths: Record<string, Record<string, JsonObject>>
    components: { schemas: JsonObject }
  }
  const rows = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  )
  const sections = document.tags.map((tag) => {
    const own = rows.filter(({ operation }) => (operation['tags'] as string[]).includes(tag.name))
    return `<h2 id="${tag.name}">${tag.name}</h2><p>${escape(tag.description)}</p>${own.map(renderOperation).join('')}`
  })
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${name}"><summary><code>${name}</code></summary>${renderJson(schema)}</details>`,
  )
  const intro = `<p>Send <code>Authorization: Bearer</code> with an API key or an access token. Lists answer
<code>items</code> and <code>next_cursor</code>. Every failure is a <a href="/docs/problems">problem</a>.</p>`
  return page('Millrace API', `${intro}${sections.join('')}<h2 id="schemas">schemas</h2>${schemas.join('')}`)
}

function renderOperation({ path, method, operation }: { path: string; method: string; operation: JsonObject }): string {
  const { parameters, requestBody, responses } = operation
  // openapi.ts writes these three as text.
  const { operationId, summary, description } = operation as Record<string, string>
  const part = (title: string, value: Json | undefined): string =>
    value === undefined || (Array.isArray(value) && value.length === 0) ? '' : `<h4>${title}</h4>${renderJson(value)}`
  return `<details id="${operationId}"><summary><span class="method">${method.toUpperCase()}</span>
<code>${escape(path)}</code> ${escape(summary ?? '')}</summary><p>${escape(description ?? '')}</p>
${part('Parameters', parameters)}${part('Body', requestBody)}${part('Answers', responses)}</details>`
}

const renderJson = (value: Json): string => {
  const text = escape(JSON.stringify(value, null, 2))
  const linked = text.replace(
    /&#34;#\/components\/schemas\/(\w+)&#34;/g,
    (_, name: string) => `<a href="#schema-${name}">${name}</a>`,
  )
  return `<pre>${linked}</pre>`
}

/** Every problem code with its status, meaning and remedy; each has an anchor, which a problem's type points to. */
export function problemsPage(): string {
  const rows = problemCodes.map((code) => {
    const { status, title, remedy, retryable } = problems[code]
    return `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${escape(title)}</td>
<td>${escape(remedy)}</td><td>${retryable ? 'yes' : 'no'}</td></tr>`
  })
  return page(
    'Millrace problems',
    `<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th><th>Remedy</th><th>The same request may succeed later</th></tr></thead>
<tbody>${rows.join('')}</tbody></table>`,
  )
}
