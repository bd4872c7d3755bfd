import { describe, expect, it } from 'vitest'
import { filesCountMaxDefault, fileSizeBytesMaxDefault, toTenantLimits } from './limits.ts'

describe('limits of a tenant', () => {
  it('are the defaults where nothing else was set', () => {
    expect(toTenantLimits({})).toMatchObject({ fileSizeBytesMax: fileSizeBytesMaxDefault })
    expect(toTenantLimits({ stored_bytes_max: 5 })).toMatchObject({
      storedBytesMax: 5,
      filesCountMax: filesCountMaxDefault,
    })
  })

  it('ignore what a newer release may have written', () => {
    expect(toTenantLimits({ color: 'red' })).toMatchObject({ filesCountMax: filesCountMaxDefault })
  })

  it.each([{ stored_bytes_max: '5' }, { files_count_max: -1 }, { file_size_bytes_max: 1.5 }, null, []])(
    'are never read as "no limit" when what was set cannot be read: %j',
    (stored) => {
      expect(() => toTenantLimits(stored)).toThrow(expect.objectContaining({ code: 'setting_invalid' }))
    },
  )
})
