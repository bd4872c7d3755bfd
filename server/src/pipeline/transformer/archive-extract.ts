// archive.extract: the members of an archive, each a file of its own.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

const membersCountMax = 10_000

export const archiveExtract = defineProcessor({
  name: 'archive.extract',
  stage: 'transform',
  version: 1,
  summary:
    'Unpacks zip, tar, tar.gz, tar.zst, gz and zst; every member becomes a file with a job of its own. Bombs, links and paths that lead outside are refused.',
  accepts: ['application/zip', 'application/x-tar', 'application/gzip', 'application/zstd', 'application/java-archive'],
  parameters: Type.Object(
    {
      depth_max: Type.Integer({
        minimum: 1,
        maximum: 10,
        default: 3,
        description: 'How deep archives inside of archives are unpacked; 1 unpacks the uploaded one only.',
      }),
      members_max: Type.Integer({
        minimum: 1,
        maximum: membersCountMax,
        default: membersCountMax,
        description: 'Members that an archive may have.',
      }),
      bytes_max: Type.Integer({
        minimum: 1,
        maximum: 64 * 1024 ** 3,
        default: 4 * 1024 ** 3,
        description: 'Bytes that all members together may have.',
      }),
      ratio_max: Type.Integer({
        minimum: 1,
        maximum: 2000,
        default: 100,
        description: 'How many times larger than the archive its members may be; the first 10 MiB are free.',
      }),
      unsafe: Type.Enum(['reject', 'skip'], {
        default: 'reject',
        description:
          'Whether a link, a device, a path that leads outside or a name that stands twice fails the step, or is left out and told.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: {
    memoryBytes: 1024 ** 3,
    timeoutMs: 900_000,
    outputBytesMax: 64 * 1024 ** 3,
    outputFilesMax: membersCountMax,
  },
  costClass: 'L',
  cost: { baseMs: 5, perMbMs: 15 },
  isolation: 'warm',
})
