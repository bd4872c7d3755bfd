// The commands of the server. Only this file knows the process it runs in: arguments, environment, signals, output.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { toProblemDocument, Problem } from './platform/problem.ts'
import { readConfig, type Config, type ServeFlags } from './platform/config.ts'
import {
  addTenant,
  examineInstallation,
  migrateInstallation,
  rebalanceStore,
  shred,
  turnKeys,
  type Installation,
} from './roles/operations.ts'
import { serve } from './roles/serve.ts'

const help = `Usage: npm start -- [flags]
       node server/src/main.ts COMMAND [flags]

Commands
  serve            run Millrace (what npm start does)
  migrate          bring the database to the newest schema, and end
  tenant NAME      add a tenant with an admin (--email) and a key; prints both
  keys rewrap      wrap all keys under the master key in force, reading no object
  keys rotate      make new keys for all tenants first
  shred tenant ID  destroy the keys of a tenant: no byte that it stored can ever be read again
  shred object ID  the same for one object, as the doctor names it
  rebalance        move objects to where the newest shard map wants them
  doctor           look at the installation and its store, and say what is wrong

Flags of serve
  --role ROLE      all (default), or one of api, upload, worker, maintenance
  --data DIR       folder of the embedded parts, keys and scratch (default ./data, or MILLRACE_DATA)
  --host HOST      address to listen on (default 127.0.0.1, or HOST)
  --port PORT      port to listen on (default 8080 or the next free one, or PORT)
  --help           this text

Settings, each by itself; without them the embedded part is used
  DATABASE_URL               postgres://user:password@host:5432/database (PostgreSQL 15 or newer)
  REDIS_URL                  redis://host:6379 (Redis 7 or Valkey, maxmemory-policy noeviction)
  OBJECT_STORE               s3://bucket?endpoint=http://host:port, or an absolute folder
  MILLRACE_MASTER_KEY_FILE   key file of mode 0600, the same for all roles (default DATA/master.key)
  MILLRACE_WORKER_SLOTS      tasks at once (default: two per processor)
  MILLRACE_SANDBOX           auto (default), bubblewrap or process
  MILLRACE_PUBLIC_URL        where clients reach the server, when that is not host and port
  LOG_LEVEL                  debug, info (default), warn, error or silent

docs/operating/settings.md has the whole list. The first Ctrl-C stops in order, a second one at once.`

const stopDeadlineMs = 4_500

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(args)
  const [command = 'serve', ...rest] = positionals
  if (values.help === true || command === 'help') {
    print(help)
    return 0
  }
  switch (command) {
    case 'serve':
      return runServer(configOf(values))
    case 'migrate': {
      const applied = await migrateInstallation(installationOf(values))
      print(applied.length === 0 ? 'The schema is the newest.' : `Applied ${applied.join(', ')}.`)
      return 0
    }
    case 'tenant': {
      const [name] = rest
      if (name === undefined || values.email === undefined) throw usage('tenant NAME --email ADDRESS')
      const made = await addTenant(installationOf(values), { name, email: values.email })
      print(`email     ${made.email}\npassword  ${made.password}\nkey       ${made.api_key}`)
      return 0
    }
    case 'keys': {
      const [what] = rest
      if (what !== 'rewrap' && what !== 'rotate') throw usage('keys rewrap, or keys rotate')
      const turn = await turnKeys(installationOf(values), { rotate: what === 'rotate', signal: untilSignalled() })
      print(
        `Wrapped anew: ${turn.tenantKeysCount} tenant keys, ${turn.secretsCount} secrets, ${turn.objectKeysCount} object keys, ${turn.uploadKeysCount} keys of uploads and import sources.`,
      )
      if (turn.damagedKeysCount > 0) print(`${turn.damagedKeysCount} keys cannot be opened and were left as they are.`)
      return 0
    }
    case 'shred': {
      const [kind, id] = rest
      if ((kind !== 'tenant' && kind !== 'object') || id === undefined)
        throw usage('shred tenant ID, or shred object ID')
      await shred(installationOf(values), { kind, id })
      print(`The keys of ${kind} ${id} are destroyed.`)
      return 0
    }
    case 'rebalance': {
      const done = await rebalanceStore(installationOf(values), {
        signal: untilSignalled(),
        onProgress: ({ seenCount, movedCount }) => print(`${seenCount} objects seen, ${movedCount} moved`),
      })
      print(`Done: ${done.movedCount} objects moved, ${done.movedBytes} bytes.`)
      return 0
    }
    case 'doctor': {
      const report = await examineInstallation(installationOf(values))
      print(JSON.stringify(report, null, 2))
      return report.healthy ? 0 : 1
    }
    default:
      throw new Problem('setting_invalid', { detail: `There is no command "${command}"; see --help.` })
  }
}

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        role: { type: 'string' },
        data: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string' },
        email: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new Problem('setting_invalid', {
      detail: `${error instanceof Error ? error.message : String(error)} See --help.`,
      cause: error,
    })
  }
}

const configOf = (flags: ServeFlags): Config =>
  readConfig(flags, process.env, { cpusCount: availableParallelism(), cwd: process.cwd() })

const installationOf = (flags: ServeFlags): Installation => ({ config: configOf(flags), pid: process.pid })

const usage = (text: string): Problem => new Problem('setting_invalid', { detail: `Usage: ${text}` })

/** Aborts at the first signal, so that work in pages ends between two of them. */
function untilSignalled(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => controller.abort(new Problem('shutting_down')))
  return controller.signal
}

/** Runs until a signal; the first stops in order, the second at once. */
async function runServer(config: Config): Promise<number> {
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        if (stopping) process.exit(1)
        stopping = true
        resolve(signal)
      })
  })
  let stopping = false
  const running = await serve(config, { pid: process.pid })
  print(running.banner)
  await signalled
  print('Stopping: running tasks end or are handed back …')
  await running.stop(stopDeadlineMs)
  return 0
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

function explain(error: unknown): void {
  const problem = error instanceof Problem ? error : new Problem('internal', { cause: error })
  const { title, detail, remedy } = toProblemDocument(problem)
  // The detail of a setting says what to do; its title and its remedy are for those who read them elsewhere.
  const isPlain = problem.code === 'setting_invalid' && detail !== undefined
  process.stderr.write(isPlain ? `${detail}\n` : `${title}${detail === undefined ? '' : ` ${detail}`}\n${remedy}\n`)
  if (problem.code === 'internal') process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
}

try {
  process.exit(await main(process.argv.slice(2)))
} catch (error) {
  explain(error)
  process.exit(1)
}
