// Every expected failure has a code here and nowhere else. The reference page docs/reference/problems.md
// is generated from this table, and a test keeps the two equal.

export interface ProblemKind {
  /** HTTP status with which the problem leaves the API. */
  readonly status: number
  /** One short sentence, the same for every occurrence. */
  readonly title: string
  /** What the reader can do about it. */
  readonly remedy: string
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
}

const kind = (status: number, title: string, remedy: string, retryable = false): ProblemKind => ({
  status,
  title,
  remedy,
  retryable,
})

export const problems = {
  // Requests
  invalid_request: kind(400, 'The request is not valid.', 'Correct the field that the detail names and send it again.'),
  invalid_form: kind(
    400,
    'The upload form is not valid.',
    'Send multipart/form-data with exactly one part named "file".',
  ),
  upload_incomplete: kind(
    400,
    'The upload ended before its last byte.',
    'Send the whole file again; nothing was kept.',
    true,
  ),
  idempotency_key_reused: kind(
    422,
    'This Idempotency-Key was used for a different request.',
    'Use a new key for a new request.',
  ),
  idempotency_in_flight: kind(
    409,
    'A request with this Idempotency-Key is still being answered.',
    'Wait a moment and repeat the request with the same key.',
    true,
  ),
  not_found: kind(
    404,
    'There is no such resource.',
    'Check the id; it may belong to another tenant or may have been deleted.',
  ),
  method_not_allowed: kind(405, 'This method is not allowed here.', 'See /docs for the operations of this path.'),
  unsupported_media_type: kind(
    415,
    'The content type of the request body is not supported.',
    'Use the content type that /docs shows for this operation.',
  ),
  range_not_satisfiable: kind(416, 'The requested range lies outside the file.', 'Ask for a range within size_bytes.'),
  precondition_failed: kind(
    412,
    'The content is another than the request expects.',
    'Read it again, and ask for what its ETag names.',
  ),
  request_too_large: kind(413, 'The request body is too large.', 'Send a smaller body.'),
  rate_limited: kind(429, 'Too many requests.', 'Wait as long as the Retry-After header says.', true),
  conflict: kind(
    409,
    'The resource is in a state that does not allow this.',
    'Read the resource again and decide anew.',
  ),

  // Identity
  unauthenticated: kind(
    401,
    'No valid credentials were sent.',
    'Send Authorization: Bearer with an API key or an access token.',
  ),
  invalid_login: kind(401, 'E-mail or password is wrong.', 'Check both and try again.'),
  token_expired: kind(
    401,
    'The token has expired.',
    'Get a new access token with the refresh token, or sign in again.',
  ),
  token_reused: kind(401, 'This refresh token was used before; the session has been ended.', 'Sign in again.'),
  forbidden: kind(
    403,
    'Your role does not allow this.',
    'Ask an admin of the tenant for the right or for a key with it.',
  ),

  // Files
  file_empty: kind(422, 'The file is empty.', 'Upload a file with at least one byte.'),
  file_too_large: kind(
    413,
    'The file is larger than this tenant allows.',
    'Upload a smaller file or ask for a higher limit.',
  ),
  file_name_invalid: kind(422, 'The file name cannot be used.', 'Use a name of 1 to 4,000 characters without NUL.'),
  file_quarantined: kind(409, 'The file has not been cleared yet.', 'Wait until its validation has ended.', true),
  file_rejected: kind(409, 'The file was rejected by validation.', 'See the reason in the job of the file.'),
  file_infected: kind(409, 'The file contains malware.', 'Delete the file, and check the machine that it came from.'),
  file_unscannable: kind(
    409,
    'The checks of the file came to no verdict, so it stays in quarantine.',
    'See the reason in the job of the file, and retry the job once its cause is gone.',
  ),
  quota_exceeded: kind(507, 'The storage quota of the tenant is used up.', 'Delete files or ask for a larger quota.'),
  link_expired: kind(410, 'The link is over, or was used.', 'Ask whoever sent the link for a new one.'),
  key_destroyed: kind(
    410,
    'The key of the content was destroyed, so that nobody can read it any more, from no backup either.',
    'Upload the file again from a copy of your own; a tenant whose keys were destroyed takes no new files.',
  ),
  checksum_mismatch: kind(422, 'The received bytes do not have the stated checksum.', 'Send the file again.', true),
  storage_full: kind(
    507,
    'The object store has no room left.',
    'The operator must add storage; nothing was kept of this upload.',
    true,
  ),
  storage_unavailable: kind(503, 'The object store does not answer.', 'Try again in a moment.', true),
  upload_offset_mismatch: kind(
    409,
    'The upload has another offset.',
    'Ask for the offset (HEAD) and go on from there.',
    true,
  ),
  upload_taken_over: kind(
    409,
    'Another request goes on with this upload.',
    'Ask for the offset (HEAD); if nobody sends any more, go on from there.',
    true,
  ),
  upload_too_long: kind(
    413,
    'More bytes were sent than the upload was declared to have.',
    'Begin a new upload with the right length.',
  ),
  upload_checksum_mismatch: kind(
    460,
    'The bytes of this request do not have the stated checksum.',
    'Send the same bytes again from the same offset; nothing of this request was kept.',
    true,
  ),
  upload_parts_missing: kind(
    409,
    'Parts of the upload are still missing.',
    'Send the missing parts, which the list of parts names, then complete it again.',
  ),
  upload_part_invalid: kind(
    422,
    'The part does not have the length that its number calls for.',
    'Cut the file at multiples of part_size_bytes; only the last part is shorter.',
  ),
  upload_too_fragmented: kind(
    422,
    'The upload was sent in too many pieces.',
    'Begin a new upload and send larger pieces.',
  ),
  upload_ended: kind(410, 'The upload has ended and takes no more bytes.', 'Begin a new upload.'),
  uploads_limit_reached: kind(
    429,
    'Too many uploads are under way at once.',
    'Finish or abort some of them, or wait until they expire.',
    true,
  ),
  upload_url_expired: kind(
    403,
    'The signed URL is not valid or has expired.',
    'List the parts of the upload again for fresh URLs.',
  ),
  protocol_version_unsupported: kind(
    412,
    'This version of the tus protocol is not spoken here.',
    'Send Tus-Resumable: 1.0.0.',
  ),
  import_url_forbidden: kind(
    422,
    'This address may not be imported from.',
    'Use an http or https URL on a public address and a usual port, or ask the operator to allow it.',
  ),
  import_refused: kind(
    422,
    'The source did not hand out the file.',
    'Check the URL and its access rights, then import again.',
  ),
  import_source_unavailable: kind(
    503,
    'The source does not answer or broke off.',
    'It is tried again by itself; if that fails for good, import again later.',
    true,
  ),
  object_damaged: kind(
    500,
    'The stored bytes do not match what was written.',
    'The operator must restore the object from a replica or a backup.',
  ),

  // Pipelines and jobs
  pipeline_invalid: kind(422, 'The pipeline is not valid.', 'Correct the lines that the errors name.'),
  pipeline_unknown: kind(
    422,
    'There is no pipeline of this name.',
    'List the pipelines, or leave the name out to use the default for the type.',
  ),
  pipeline_not_accepted: kind(
    422,
    'The pipeline does not take files of this type.',
    'Use a pipeline that accepts the type.',
  ),
  job_not_ended: kind(409, 'The job is still running.', 'Wait for its end or cancel it.', true),
  job_ended: kind(409, 'The job has already ended.', 'Retry it or start a new one.'),

  // Batches
  manifest_invalid: kind(
    422,
    'The manifest cannot be used.',
    'Give one file id or name a line, as CSV with a column file_id or name, or as lines of JSON.',
  ),
  batch_too_large: kind(
    422,
    'The batch would have more items than a batch may have.',
    'Narrow the query, or split the manifest.',
  ),
  too_many_batches: kind(
    409,
    'The tenant has as many live batches as it may have.',
    'Wait for one to end, or cancel one.',
    true,
  ),
  batch_not_ended: kind(409, 'The batch has not ended.', 'Wait for its end or cancel it.', true),
  batch_ended: kind(409, 'The batch has already ended.', 'Redrive what failed, or create another batch.'),
  batch_failures_exceeded: kind(
    422,
    'More items failed than the batch tolerates.',
    'See the report for the reasons, then redrive what failed and what was not started.',
  ),

  // Schedules
  cron_invalid: kind(
    422,
    'The cron expression or its time zone cannot be read.',
    'Give minute, hour, day, month and weekday, e.g. "30 2 * * 1-5", and a zone such as Europe/Berlin.',
  ),
  cron_never_fires: kind(
    422,
    'The cron expression never comes true.',
    'Choose a day that its month has; the 30th of February never comes.',
  ),

  // Outcomes of processing, told to the owner of the file
  file_unreadable: kind(
    422,
    'The file is damaged or not of the type it claims to be.',
    'Open the file on your machine, save it anew and upload that.',
  ),
  file_encrypted: kind(422, 'The file is protected by a password.', 'Remove the password and upload it again.'),
  file_type_unsupported: kind(
    422,
    'This step cannot work with files of this type.',
    'Use a pipeline meant for this type.',
  ),
  file_too_complex: kind(
    422,
    'The file would need more than its limits allow.',
    'Split the file or reduce its dimensions, or ask for a higher limit.',
  ),
  archive_unsafe: kind(
    422,
    'The archive breaks a safety rule.',
    'Pack it anew without links, absolute paths or extreme compression.',
  ),
  data_invalid: kind(
    422,
    'The data breaks the rules of the check.',
    'See the report of the step for the rows and rules concerned.',
  ),
  parameters_invalid: kind(
    422,
    'The parameters of the step do not fit this file.',
    'Change the parameters in the pipeline.',
  ),
  time_limit_exceeded: kind(
    422,
    'The step took longer than its time limit.',
    'Split the file, or raise the timeout of the step.',
  ),
  memory_limit_exceeded: kind(
    422,
    'The step needed more memory than its limit.',
    'Split the file, or give the step more with memory: medium or large.',
  ),
  output_limit_exceeded: kind(
    422,
    'The step produced more output than its limit.',
    'Narrow the parameters of the step.',
  ),
  output_invalid: kind(
    422,
    'The step produced an output that did not pass its check.',
    'Tell the operator; the processor is faulty.',
  ),
  processor_unavailable: kind(
    422,
    'The processor cannot run here.',
    'The operator must install what the processor catalogue names as missing.',
  ),
  processor_crashed: kind(
    500,
    'The processor broke down on this file.',
    'Retry the job; if it happens again, tell the operator.',
    true,
  ),
  worker_lost: kind(
    500,
    'The worker was lost repeatedly while it processed this file.',
    'Replay the job; if it happens again, the file may be harmful.',
    true,
  ),
  condition_failed: kind(
    422,
    'The condition of a step could not be evaluated.',
    'Correct the "if" expression of the step.',
  ),
  fan_out_too_large: kind(
    422,
    'The step would have to be split into more tasks than the limit allows.',
    'Narrow the outputs of the step before it.',
  ),

  // The installation
  overloaded: kind(503, 'The server is busy.', 'Try again after the Retry-After time.', true),
  shutting_down: kind(
    503,
    'The server is shutting down.',
    'Send the request again; another instance will answer.',
    true,
  ),
  database_unavailable: kind(503, 'The database does not answer.', 'Try again in a moment.', true),
  queue_unavailable: kind(503, 'The queue does not answer.', 'Try again in a moment.', true),
  disk_full: kind(507, 'A disk of the server is full.', 'The operator must free room.', true),
  setting_invalid: kind(500, 'A setting is missing or wrong.', 'Correct the setting that the detail names.'),
  internal: kind(500, 'Something broke on our side.', 'Try again; if it persists, report the request_id.', true),
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof problems

/** Problem document on the wire, application/problem+json (RFC 9457). */
export interface ProblemDocument {
  type: string
  title: string
  status: number
  code: ProblemCode
  detail?: string
  remedy: string
  request_id?: string
  /** One entry per faulty place, for problems that have several. */
  errors?: { path: string; line?: number; column?: number; message: string }[]
}
