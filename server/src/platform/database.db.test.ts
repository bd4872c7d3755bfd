import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, testDatabaseUrl, type TestDatabase } from '../testing/database.ts'
import { openFaultProxy, type FaultProxy } from '../testing/fault-proxy.ts'
import { retryConflicts, sqlState, type Database, type Tx } from './database.ts'
import { silentLog } from './log.ts'
import { migrate, splitStatements } from './migrate.ts'
import { openPostgres } from './postgres.ts'
import { Problem } from './problem.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
  await test.database.query("insert into tenant (id, name) overriding system value values (1001, 'a'), (1002, 'b')")
  await test.database.query('insert into tenant_usage (tenant_id) values (1001), (1002)')
})
afterAll(() => test.drop())

const tenantsSeen = 'select tenant_id from tenant_usage order by 1'

/** Tables with a tenant_id that lack forced row-level security or its two policies. */
const unguardedTables = `
  select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
  where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
    and not (c.relrowsecurity and c.relforcerowsecurity
      and (select count(*) from pg_policy p where p.polrelid = c.oid) = 2
      and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant' and p.polroles = array['millrace_app'::regrole::oid]
        and pg_get_expr(p.polqual, p.polrelid) like '(tenant_id = ( SELECT app_tenant()%'))
  order by 1`

describe('withTenant', () => {
  it('sees one tenant and nothing of another', async () => {
    const { rows } = await test.database.withTenant(1002, (tx) => tx.query(tenantsSeen))
    expect(rows).toEqual([{ tenant_id: 1002 }])
  })

  it('cannot write a row of another tenant', async () => {
    const write = test.database.withTenant(1002, (tx) =>
      tx.query("insert into tenant_key (tenant_id, version, wrapped) values (1001, 9, '')"),
    )
    await expect(write).rejects.toSatisfy((error) => sqlState(error) === '42501')
  })

  it('has no way to users and secrets of the installation', async () => {
    for (const table of ['user_account', 'installation_secret', 'scheduler_lease']) {
      await expect(test.database.withTenant(1002, (tx) => tx.query(`select from ${table}`))).rejects.toThrow(
        'permission denied',
      )
    }
  })

  it('leaves neither role nor tenant behind, committed or failed', async () => {
    await test.database.withTenant(1002, (tx) => tx.query('select 1'))
    await test.database.withTenant(1002, () => Promise.reject(new Error('on purpose'))).catch(() => {})
    for (let i = 0; i < 12; i++) {
      const { rows } = await test.database.query(
        "select current_user <> 'millrace_app' as system, app_tenant() as tenant",
      )
      expect(rows).toEqual([{ system: true, tenant: null }])
    }
  })

  it('sees nothing when no tenant is named', async () => {
    const rows = await test.database.asSystem(async (tx) => {
      await tx.query("select set_config('role', 'millrace_app', true)")
      return (await tx.query(tenantsSeen)).rows
    })
    expect(rows).toEqual([])
  })
})

describe('ofTenant', () => {
  it('sees one tenant and nothing of another, and commits each statement', async () => {
    const sql = test.database.ofTenant(1002)
    expect((await sql.query(tenantsSeen, [])).rows).toEqual([{ tenant_id: 1002 }])
    const { rowCount } = await sql.query('update tenant_usage set reserved_files = $1', [7])
    expect(rowCount).toBe(1)
    const { rows } = await test.database.query('select tenant_id from tenant_usage where reserved_files = 7')
    expect(rows).toEqual([{ tenant_id: 1002 }])
  })

  it('tells why a statement failed, and leaves nothing behind for the next', async () => {
    const sql = test.database.ofTenant(1002)
    await expect(sql.query('select $1::int / 0', [1])).rejects.toSatisfy((error) => sqlState(error) === '22012')
    await expect(sql.query('select from user_account', [])).rejects.toThrow('permission denied')
    for (let i = 0; i < 12; i++) {
      const { rows } = await test.database.query('select app_tenant() as tenant')
      expect(rows).toEqual([{ tenant: null }])
    }
  })
})

describe('ofSystem', () => {
  it('sees every tenant, commits each statement, and keeps its settings to it', async () => {
    const sql = test.database.ofSystem([['lock_timeout', '1234ms']])
    const { rows } = await sql.query('select current_setting($1) as lock_timeout', ['lock_timeout'])
    expect(rows).toEqual([{ lock_timeout: '1234ms' }])
    const { rowCount } = await sql.query('update tenant_usage set reserved_files = $1', [8])
    expect(rowCount).toBeGreaterThan(1)
    const after = await test.database.query(
      `select count(*)::int as count, current_setting('lock_timeout') as lock_timeout from tenant_usage where reserved_files = 8`,
    )
    expect(after.rows).toEqual([{ count: rowCount, lock_timeout: '0' }])
  })
})

describe('the schema', () => {
  it('guards every table of tenants', async () => {
    expect((await test.database.query(unguardedTables)).rows).toEqual([])
  })

  it('shows a table that was forgotten, and one that is open', async () => {
    const rows = await test.database
      .asSystem(async (tx) => {
        await tx.query('create table planted_forgotten (tenant_id bigint)')
        await tx.query('create table planted_open (tenant_id bigint)')
        await tx.query('alter table planted_open enable row level security')
        await tx.query('alter table planted_open force row level security')
        await tx.query('create policy tenant on planted_open to millrace_app using (true)')
        await tx.query('create policy installation on planted_open to millrace_system using (true)')
        throw Object.assign(new Error('roll back'), { rows: (await tx.query(unguardedTables)).rows })
      })
      .catch((error: unknown) => (error as { rows: unknown }).rows)
    expect(rows).toEqual([{ relname: 'planted_forgotten' }, { relname: 'planted_open' }])
  })

  it('is applied once', async () => {
    expect(await migrate(test.database)).toEqual([])
  })
})

describe('transactions', () => {
  it('roll back when their function throws', async () => {
    const failing = test.database.asSystem(async (tx) => {
      await tx.query("insert into tenant (name) values ('half done')")
      throw new Error('on purpose')
    })
    await expect(failing).rejects.toThrow('on purpose')
    expect((await test.database.query("select from tenant where name = 'half done'")).rowCount).toBe(0)
  })

  it('run what is sent in its order, before what is asked next and before the commit', async () => {
    const note = `update tenant_usage set stored_bytes = stored_bytes * 10 + $1::bigint where tenant_id = 1001 returning stored_bytes`
    const seen = await test.database.asSystem(async (tx) => {
      tx.send(note, [1])
      tx.send(note, [2])
      const { rows } = await tx.query(note, [3])
      tx.send(note, [4])
      return rows
    })
    expect(seen).toEqual([{ stored_bytes: 123 }])
    const { rows } = await test.database.query('select stored_bytes from tenant_usage where tenant_id = 1001')
    expect(rows).toEqual([{ stored_bytes: 1234 }])
  })

  it.each([
    ['with the commit', async () => {}],
    ['with a statement', async (tx: Tx) => void (await tx.query('select $1::int', [1]))],
    ['and its answer never looked at', async () => Promise.reject(new Error('later'))],
  ])('fail with the error of what was sent %s, and leave nothing', async (_, then) => {
    const failing = test.database.asSystem(async (tx) => {
      tx.send('insert into tenant (name) values ($1)', ['half sent'])
      tx.send('insert into tenant (name) values ($1)', [''])
      tx.send('insert into tenant (name) values ($1)', ['after it'])
      await tx.query('select $1::int', [1]).catch(() => {})
      await then(tx)
    })
    await expect(failing).rejects.toSatisfy((error) => sqlState(error) === '23514')
    const { rowCount } = await test.database.query(`select from tenant where name in ('half sent', 'after it', '')`)
    expect(rowCount).toBe(0)
  })

  it('do not run what was sent by a function that then throws', async () => {
    const failing = test.database.asSystem(async (tx) => {
      tx.send('insert into tenant (name) values ($1)', [''])
      throw new Error('on purpose')
    })
    await expect(failing).rejects.toThrow()
    expect((await test.database.query(`select from tenant where name = ''`)).rowCount).toBe(0)
  })

  it('are not said to be committed when somebody passes over the error of a statement', async () => {
    const passing = test.database.asSystem(async (tx) => {
      await tx.query("insert into tenant (name) values ('passed over')")
      await tx.query("insert into tenant (name) values ('')").catch(() => {})
    })
    await expect(passing).rejects.toSatisfy((error) => sqlState(error) === '23514')
    expect((await test.database.query(`select from tenant where name = 'passed over'`)).rowCount).toBe(0)
  })

  it('run nothing after their end, committed or rolled back', async () => {
    const kept: Tx[] = []
    await test.database.withTenant(1001, async (tx) => void kept.push(tx))
    const failing = test.database.withTenant(1001, async (tx) => {
      kept.push(tx)
      throw new Error('on purpose')
    })
    await expect(failing).rejects.toThrow('on purpose')
    for (const tx of kept) {
      await expect(tx.query(tenantsSeen, [])).rejects.toThrow('after its end')
      expect(() => tx.send(tenantsSeen, [])).toThrow('after its end')
    }
  })

  it('give numbers for bigint and dates for timestamps', async () => {
    const { rows } = await test.database.query('select 5::bigint as one, array[1, 2]::bigint[] as many, now() as at')
    expect(rows[0]).toEqual({ one: 5, many: [1, 2], at: expect.any(Date) })
  })

  it('give text back to the letter, also what begins with U+FEFF', async () => {
    const texts = ['\ufeff', '\ufeffx', 'x\ufeff', '\ufeff\ufeff', '', 'x', '😀', null]
    const { rows } = await test.database.query(
      'select n, text, null as nothing, text as again from unnest($1::text[]) with ordinality as t(text, n) order by n',
      [texts],
    )
    expect(rows).toEqual(texts.map((text, index) => ({ n: index + 1, text, nothing: null, again: text })))
  })

  it('are run again after a deadlock, and not for ever', async () => {
    let runs = 0
    const conflict = Object.assign(new Error('deadlock detected'), { code: '40P01' })
    await expect(retryConflicts(async () => (++runs < 3 ? Promise.reject(conflict) : 'won'))).resolves.toBe('won')
    await expect(retryConflicts(() => Promise.reject(conflict))).rejects.toThrow('deadlock')
  })
})

if (testDatabaseUrl() !== undefined) {
  describe('a PostgreSQL server', () => {
    /** One connection through a proxy that can misbehave. */
    async function throughProxy(run: (database: Database, proxy: FaultProxy) => Promise<void>): Promise<void> {
      const url = new URL(test.url!) // A real server always has a URL.
      const proxy = await openFaultProxy({ host: url.hostname, port: Number(url.port) })
      url.port = String(proxy.port)
      const database = await openPostgres({ url: url.href, log: silentLog, connectionsMax: 1 })
      await run(database, proxy)
      expect((await database.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await database.close()
      await proxy.close()
    }

    it('that freezes costs the deadline, not for ever, and is used again when it thaws', () =>
      throughProxy(async (database, proxy) => {
        proxy.freeze()
        const stuck = database.asSystem((tx) => tx.query('select 1'), { timeoutMs: 100 })
        await expect(stuck).rejects.toSatisfy(
          (error) => error instanceof Problem && error.code === 'database_unavailable',
        )
        proxy.thaw()
      }))

    it('lets go of what a transaction held whose client is not heard of any more', () =>
      throughProxy(async (database, proxy) => {
        const lock = 'select from tenant_usage where tenant_id = 1001 for update'
        const lost = database.asSystem(
          async (tx) => {
            await tx.query(lock)
            proxy.freeze()
            await tx.query('select 1')
          },
          { timeoutMs: 300 },
        )
        await expect(lost).rejects.toThrow(Problem)
        // The server has not been told that the connection is closed.
        await test.database.asSystem((tx) => tx.query(lock), { timeoutMs: 20_000 })
        proxy.thaw()
      }))

    it('that takes no writes, as one that was demoted, is unavailable and asked on a new connection', async () => {
      const url = new URL(test.url!) // A real server always has a URL.
      url.searchParams.set('options', '-c default_transaction_read_only=on')
      const database = await openPostgres({ url: url.href, log: silentLog, connectionsMax: 1 })
      const pid = async () => (await database.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
      const before = await pid()
      const written = database.asSystem((tx) => tx.query('update tenant_usage set files_count = 0'))
      await expect(written).rejects.toMatchObject({ code: 'database_unavailable' })
      expect(await pid()).not.toBe(before)
      await database.close()
    })

    it('that cuts connections is asked on a new one', () =>
      throughProxy(async (database, proxy) => {
        const cut = database.query('select pg_sleep(10)')
        proxy.cut()
        await expect(cut).rejects.toSatisfy(
          (error) => error instanceof Problem && error.code === 'database_unavailable',
        )
      }))
  })
}

describe('openPostgres', () => {
  it('names the setting and hides the password when nobody answers', async () => {
    const refused = openPostgres({ url: 'postgres://user:secret@127.0.0.1:1/db', log: silentLog })
    await expect(refused).rejects.toSatisfy(
      (error) =>
        error instanceof Problem && error.detail!.startsWith('DATABASE_URL:') && !error.detail!.includes('secret'),
    )
  })
})

describe('splitStatements', () => {
  it('cuts at semicolons outside quotes, dollar quotes and comments', () => {
    const script =
      "select ';'; -- a; b\ndo $$ begin; end $$; create function f() returns text as $x$ select '$$;' $x$;\n-- end;\n"
    expect(splitStatements(script).map((statement) => statement.trim())).toEqual([
      "select ';'",
      '-- a; b\ndo $$ begin; end $$',
      "create function f() returns text as $x$ select '$$;' $x$",
    ])
  })
})
