import { describe, expect, it } from 'vitest'
import { parsePipeline } from './pipeline-parser.ts'
import { testCatalogue } from './testing/processors.ts'

const parse = (text: string) => parsePipeline(text, testCatalogue)
/** "line:column path message" of every fault. */
const faultsOf = (text: string): string[] => {
  const parsed = parse(text)
  return 'faults' in parsed
    ? parsed.faults.map((each) => `${each.line}:${each.column} ${each.path} ${each.message}`)
    : []
}
const definitionOf = (text: string) => {
  const parsed = parse(text)
  if ('faults' in parsed) throw new Error(JSON.stringify(parsed.faults))
  return parsed.definition
}
const pipeline = (steps: string): string => `name: scans\naccept: [application/pdf]\nsteps:\n${steps}`

describe('a pipeline without a fault', () => {
  const text = pipeline(`  check: { uses: file.ingest }
  pages: { uses: document.render, needs: [check], with: { dpi: 200 }, retry: { attempts: 2 } }
  text:  { uses: document.text, each: pages, if: "size(pages.outputs) > 0", timeout_ms: 5000, memory: large }
  index: { uses: search.index, needs: [text] }
retry: { attempts: 3, backoff: { max_ms: 9000 } }
`)

  it('is completed: defaults, retries, needs, and the first and last step of every job', () => {
    expect(definitionOf(text)).toEqual({
      name: 'scans',
      accept: ['application/pdf'],
      retry: { attempts: 3, backoff: { initial_ms: 500, max_ms: 9000 } },
      on_failure: 'stop',
      steps: {
        collect: { uses: 'file.collect', needs: [], with: {} },
        check: { uses: 'file.ingest', needs: ['collect'], with: {} },
        pages: {
          uses: 'document.render',
          needs: ['check'],
          with: { dpi: 200, format: 'png' },
          retry: { attempts: 2, backoff: { initial_ms: 500, max_ms: 9000 } },
        },
        text: {
          uses: 'document.text',
          needs: ['pages'],
          each: 'pages',
          with: {},
          if: 'size(pages.outputs) > 0',
          timeout_ms: 5000,
          memory: 'large',
        },
        index: { uses: 'search.index', needs: ['text'], with: {} },
        archive: { uses: 'archive.tier', needs: ['index'], with: { class: 'standard' } },
      },
    })
    expect(Object.keys(definitionOf(text).steps)).toEqual(['collect', 'check', 'pages', 'text', 'index', 'archive'])
  })

  it('may be JSON, with tabs', () => {
    const json = JSON.stringify(
      { name: 'a', accept: ['*/*'], steps: { a: { uses: 'file.ingest' }, b: { uses: 'document.text' } } },
      null,
      '\t',
    )
    const { steps } = definitionOf(json)
    expect([steps['a']?.needs, steps['b']?.needs, steps['archive']?.needs]).toEqual([
      ['collect'],
      ['collect'],
      ['a', 'b'],
    ])
  })

  it('keeps own first and last steps, wherever they were written', () => {
    const { steps } = definitionOf(
      pipeline(`  keep: { uses: archive.tier, needs: [check], with: { class: cold } }
  check: { uses: file.ingest, needs: [fetch] }
  fetch: { uses: file.collect }
`),
    )
    expect(Object.keys(steps)).toEqual(['fetch', 'check', 'keep'])
    expect(steps['keep']).toEqual({ uses: 'archive.tier', needs: ['check'], with: { class: 'cold' } })
  })

  it('may say things once and refer to them', () => {
    const { steps } = definitionOf(
      pipeline(`  a: { uses: document.render, with: &with { dpi: 72 } }
  b: { uses: document.render, with: *with }
`),
    )
    expect(steps['b']?.with).toEqual({ dpi: 72, format: 'png' })
  })
})

describe('a fault is told with its place:', () => {
  it.each([
    [
      'an unknown key, with what was meant',
      '  a: { uses: file.ingest, nedes: [] }',
      '4:27 /steps/a/nedes "nedes" is not known here. Did you mean "needs"?',
    ],
    [
      'an unknown processor, with what was meant',
      '  a: { uses: image.tumbnail }',
      '4:14 /steps/a/uses There is no processor "image.tumbnail". Did you mean "image.thumbnail"?',
    ],
    [
      'a processor named without its kind',
      '  a: { uses: thumbnail }',
      '4:14 /steps/a/uses There is no processor "thumbnail". Did you mean "image.thumbnail"?',
    ],
    [
      'an unknown need',
      '  chek: { uses: file.ingest }\n  b: { uses: document.text, needs: [check] }',
      '5:37 /steps/b/needs/0 There is no step "check". Did you mean "chek"?',
    ],
    ['a missing processor', '  a: { needs: [] }', '4:3 /steps/a/uses "uses" is missing.'],
    ['a step that is no map', '  a: file.ingest', '4:6 /steps/a Must be a map, not text.'],
    [
      'a name that is written twice',
      '  a: { uses: file.ingest }\n  a: { uses: document.text }',
      '5:3 /steps/a "a" is written twice. The first is in line 4.',
    ],
    [
      'a name that cannot be one',
      '  "A b": { uses: file.ingest }',
      '4:3 /steps/A b A step is named with lower-case letters, digits, _ and -, beginning with a letter, 50 at most.',
    ],
    [
      'a need that is named twice',
      '  b: { uses: file.ingest }\n  a: { uses: document.text, needs: [b, b] }',
      '5:36 /steps/a/needs "b" is named twice.',
    ],
    [
      'a step that is split by one it does not need',
      '  b: { uses: document.render }\n  c: { uses: document.render }\n  a: { uses: document.text, needs: [b], each: c }',
      '6:47 /steps/a/each "c" must stand in "needs" too: its outputs are what the step is split by.',
    ],
    [
      'an edge that runs back',
      '  t: { uses: document.text }\n  r: { uses: document.render, needs: [t] }',
      '5:39 /steps/r/needs/0 "r" (stage transform) cannot come after "t" (stage analyze): an edge never runs back to an earlier stage.',
    ],
    [
      'a parameter of the wrong kind',
      '  a: { uses: document.render, with: { dpi: high } }',
      '4:44 /steps/a/with/dpi Must be a whole number, not text.',
    ],
    [
      'a parameter out of its bounds',
      '  a: { uses: document.render, with: { dpi: 601 } }',
      '4:44 /steps/a/with/dpi Must be from 36 to 600.',
    ],
    [
      'a parameter that is none of the values',
      '  a: { uses: document.render, with: { format: jpg } }',
      '4:47 /steps/a/with/format Must be one of png, jpeg. Did you mean "jpeg"?',
    ],
    [
      'a parameter in a list',
      '  a: { uses: image.thumbnail, with: { sizes: [1, x] } }',
      '4:50 /steps/a/with/sizes/1 Must be a whole number, not text.',
    ],
    [
      'an unknown parameter',
      '  a: { uses: document.render, with: { resolution: 3 } }',
      '4:39 /steps/a/with/resolution "resolution" is not known here. Known here: dpi, format, pages.',
    ],
    [
      'a condition that cannot be read',
      '  a: { uses: file.ingest, if: "1 +" }',
      '4:31 /steps/a/if Unexpected token: EOF.',
    ],
    [
      'a condition over a step that is not needed',
      '  b: { uses: document.render }\n  a: { uses: document.text, if: "size(b.outputs) > 0" }',
      '5:33 /steps/a/if Unknown variable: b.',
    ],
    [
      'a join of nothing',
      '  a: { uses: text.join }',
      '4:3 /steps/a "text.join" works on what other steps made: name these in "needs".',
    ],
    ['an empty list of inputs', '  a: { uses: file.ingest, inputs: [] }', '4:35 /steps/a/inputs The list is empty.'],
    [
      'an input that has not ended',
      '  a: { uses: file.ingest, inputs: [b] }\n  b: { uses: file.ingest }',
      '4:36 /steps/a/inputs/0 "b" does not end before this step: add it to "needs".',
    ],
    [
      'too many attempts',
      '  a: { uses: file.ingest, retry: { attempts: 21 } }',
      '4:46 /steps/a/retry/attempts Must be from 1 to 20.',
    ],
    [
      'a backoff that begins above its end',
      '  a: { uses: file.ingest, retry: { backoff: { initial_ms: 900000 } } }',
      '4:36 /steps/a/retry/backoff initial_ms (900000) is more than max_ms (60000).',
    ],
    [
      'a class of memory that there is not',
      '  a: { uses: file.ingest, memory: huge }',
      '4:35 /steps/a/memory Must be one of small, medium, large.',
    ],
    [
      'a timeout out of its bounds',
      '  a: { uses: file.ingest, timeout_ms: 1 }',
      '4:39 /steps/a/timeout_ms Must be from 100 to 86400000.',
    ],
    [
      'the name of an implied step',
      '  archive: { uses: document.text }',
      '4:3 /steps/archive "archive" is the step that Millrace adds to every pipeline; name this one otherwise.',
    ],
    [
      'the name of the original',
      '  original: { uses: document.text }',
      '4:3 /steps/original "original" is what steps call the file of the job; name the step otherwise.',
    ],
    [
      'a parameter called like nothing good',
      '  a: { uses: document.render, with: { __proto__: 1 } }',
      '4:39 /steps/a/with/__proto__ "__proto__" is not known here. Known here: dpi, format, pages.',
    ],
  ])('%s', (_, steps, expected) => {
    expect(faultsOf(pipeline(`${steps}\n`))).toEqual([expected])
  })

  it('a cycle, in order, once', () => {
    const steps = ['a, c', 'b, a', 'c, b', 'd, c'].map((pair) => {
      const [name, need] = pair.split(', ')
      return `  ${name}: { uses: file.ingest, needs: [${need}] }`
    })
    expect(faultsOf(pipeline(steps.join('\n')))).toEqual([
      '4:27 /steps/a/needs The steps wait for each other: a → b → c → a.',
    ])
    expect(faultsOf(pipeline('  a: { uses: file.ingest, needs: [a] }'))).toEqual([
      '4:27 /steps/a/needs The steps wait for each other: a → a.',
    ])
  })

  it('all of them at once, in the order of the text', () => {
    expect(
      faultsOf(`name: Scans
acept: [pdf]
on_failure: explode
steps:
  a: { uses: nothing.like, needs: 5, with: 3 }
  b:
    uses: document.render
    with:
      dpi: 1
      format: gif
`),
    ).toEqual([
      '1:1 /accept "accept" is missing.',
      '1:7 /name Must be lower-case letters, digits and hyphens, 100 at most.',
      '2:1 /acept "acept" is not known here. Did you mean "accept"?',
      '3:13 /on_failure Must be one of stop, continue.',
      '5:14 /steps/a/uses There is no processor "nothing.like".',
      '5:35 /steps/a/needs Must be a list, not a whole number.',
      '5:44 /steps/a/with Must be a map, not a whole number.',
      '9:12 /steps/b/with/dpi Must be from 36 to 600.',
      '10:15 /steps/b/with/format Must be one of png, jpeg.',
    ])
  })

  it.each([
    ['nothing', '', '1:1  A pipeline is a map with name, accept and steps.'],
    ['no map', '- a\n- b\n', '1:1  A pipeline is a map with name, accept and steps.'],
    ['no steps', 'name: a\naccept: ["*/*"]\nsteps: {}\n', '3:1 /steps There is no step.'],
    [
      'a bad pattern',
      'name: a\naccept: [pdf]\nsteps: { a: { uses: file.ingest } }\n',
      '2:10 /accept/0 Must be a content type such as image/png, image/* or */*.',
    ],
    [
      'a text with NUL',
      'name: a\ndescription: "x\\0"\n',
      '2:14 /description Must not contain NUL or text that is not valid Unicode.',
    ],
    [
      'a key with half a character',
      '"\\ud800": 1\n',
      '1:1 /\ud800 Must not contain NUL or text that is not valid Unicode.',
    ],
    ['a second document', 'name: a\n---\nname: b\n', '2:1  A definition is one document; this one begins another.'],
    [
      'an open bracket',
      'name: a\naccept: [image/png\n',
      '3:1  Flow sequence in block collection must be sufficiently indented and end with a ].',
    ],
  ])('a text that has %s', (_, text, expected) => {
    expect(faultsOf(text)).toContain(expected)
  })
})

describe('a hostile text is refused at once:', () => {
  const bomb = Array.from({ length: 9 }, (_, level) => {
    const each = level === 0 ? 'x' : `*a${level - 1}`
    return `a${level}: &a${level} [${Array(9).fill(each).join(', ')}]`
  })
  const many = (count: number) => Array.from({ length: count }, (_, at) => `  s${at}: { uses: file.ingest }`).join('\n')
  it.each([
    ['brackets', '['.repeat(90_000), 'nests deeper'],
    ['maps', '{a: '.repeat(20_000), 'nests deeper'],
    ['lists in lists', '- '.repeat(40_000), 'nests deeper'],
    ['indentation', Array.from({ length: 400 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'), 'nests deeper'],
    ['aliases that grow', bomb.join('\n'), 'more than 10000 values'],
    ['an alias of itself', 'a: &a [*a]', 'nests deeper'],
    ['an alias of nothing', '*a', 'no anchor "a"'],
    ['many aliases', `a: &a 1\nb: [${'*a ,'.repeat(20_000)}]`, 'more than 10000 values'],
    ['length', `# ${'x'.repeat(100_000)}`, 'longer than 100,000'],
    ['keys', Array.from({ length: 9_000 }, (_, at) => `k${at}: 1`).join('\n'), 'is missing'],
    ['faults', 'a: b: c\n'.repeat(12_000), 'Nested mappings'],
    ['steps', pipeline(many(101)), 'There are 101 steps; at most 100 are allowed.'],
  ])('%s', (_, text, reason) => {
    // The library alone would need longer than a test may take, or end the process.
    const faults = faultsOf(text)
    expect(faults[0]).toContain(reason)
    expect(faults.length).toBeLessThanOrEqual(100)
  })

  it('but a hundred steps in a row are a pipeline', () => {
    const chain = Array.from(
      { length: 100 },
      (_, at) => `  s${at}: { uses: file.ingest, needs: [${at ? `s${at - 1}` : ''}] }`,
    )
    expect(Object.keys(definitionOf(pipeline(chain.join('\n'))).steps).length).toBe(102)
  })
})
