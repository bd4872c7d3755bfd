// Bugs that the simulation must catch, each a few changed words of the engine or of what its store must keep. A checker
// that is not shown what it is there to find is a decoration. docs/reference/planted-bugs.md says what caught each.

import type { Mutation } from './variants.ts'

export interface PlantedBug {
  name: string
  /** What would go wrong, in words for people. */
  breaks: string
  mutations: readonly Mutation[]
  /** Of whose histories the first ones show it. */
  seed: number
}

/** Of bugs that most histories do not show; with another seed they take up to 1,500. */
const rareSeeds: ReadonlyMap<string, number> = new Map([
  ['answers-mixed', 1],
  ['pause-is-not-asked', 2],
  ['claim-after-cancel', 8],
  ['split-without-looking', 4],
  ['tokens-hoarded', 8],
  ['poison-for-ever', 16],
  ['goes-on-with-two', 14],
])

const bug = (
  name: string,
  breaks: string,
  ...mutations: [file: string, find: string, replace: string][]
): PlantedBug => ({
  name,
  breaks,
  seed: rareSeeds.get(name) ?? 3,
  mutations: mutations.map(([file, find, replace]) => ({ file, find, replace })),
})

const graph = 'processing/job-graph.ts'
const advance = 'processing/advance.ts'
const engine = 'processing/engine.ts'
const taskResults = 'processing/task-results.ts'
const settlement = 'processing/settlement.ts'
const control = 'processing/job-control.ts'
const store = 'processing/testing/memory-store.ts'
const scheduler = 'maintenance/testing/memory-scheduler-store.ts'
const admission = 'maintenance/admission.ts'

export const plantedBugs: readonly PlantedBug[] = [
  // Counters and joins.
  bug('lose-a-decrement', 'A task that ends is not taken off its step.', [graph, 'step.tasksPending -= 1\n', '\n']),
  bug('decrement-twice', 'A task that ends is taken off its step twice.', [
    graph,
    'step.tasksPending -= 1\n',
    'step.tasksPending -= 2\n',
  ]),
  bug('failure-not-counted', 'A dead task is not counted as failed.', [graph, 'step.tasksFailed += 1', '']),
  bug('join-at-the-first', 'A step starts when the first of its needs has ended.', [
    graph,
    '.every((need) => this.isEnded(this.step(need)))',
    '.every((need, index) => index > 0 || this.isEnded(this.step(need)))',
  ]),
  bug('join-with-one-left', 'A step counts as ended while one of its tasks is open.', [
    graph,
    "return step.tasksPending === 0 && step.state !== 'waiting' && step.state !== 'running'",
    "return step.tasksPending <= 1 && step.state !== 'waiting' && step.tasksTotal > 0",
  ]),
  bug('join-reads-one-file', 'A join is given the first output of each step before it only.', [
    advance,
    'facts.outputs(jobId, source).map(toInputFile)',
    'facts.outputs(jobId, source).slice(0, 1).map(toInputFile)',
  ]),
  bug('join-forgotten', 'A step that is due gets no task.', [
    advance,
    'start.tasks.push(toTask(each, decision.files, start.deps))',
    '',
  ]),
  bug('split-one-too-many', 'A fan-out counts one task more than there are outputs.', [
    advance,
    "return { kind: 'split', count, files, sizeBytes }",
    "return { kind: 'split', count: count + 1, files, sizeBytes }",
  ]),
  bug('split-first-piece-only', 'A fan-out larger than one piece is not continued.', [
    advance,
    'count < limit ? null : lastOutputId',
    'null',
  ]),
  bug('split-from-the-start', 'Each piece of a fan-out begins at the first output again.', [
    advance,
    'afterOutputId: graph.step(name).expandedTo ?? 0',
    'afterOutputId: 0',
  ]),
  bug('split-without-looking', 'Two leaders each create the next piece of a fan-out.', [
    engine,
    'if (!canSplit(graph) || graph.step(step).expandedTo !== afterOutputId) throw new Superseded()',
    'if (graph === undefined) throw new Superseded()',
  ]),
  bug(
    'split-place-not-written',
    'How far a step has been split is not written. (Found by a test; here for the record.)',
    [graph, 'step.expandedTo = outputId\n    this.#dirty.add(step)', 'step.expandedTo = outputId'],
  ),
  bug(
    'split-not-cancelled',
    'A job is not cancelled when all tasks of a split that is not over have ended. (Found by the simulation.)',
    [graph, 'step.tasksPending > 0 || step.expandedTo !== null)', 'step.tasksPending > 0)'],
  ),
  bug(
    'split-lost-by-retry',
    'A split that was cancelled half-way is not completed by a retry. (Found by the simulation.)',
    [control, 'if (each !== undefined && tasksTotal !== made.get(each)) continue', ''],
  ),
  bug('broken-need-runs', 'A step runs although what it needs has failed.', [
    advance,
    'if (graph.hasBrokenNeed(name)) {',
    'if (false as boolean) {',
  ]),
  bug('stop-goes-on', 'A pipeline that stops on failure goes on.', [
    graph,
    "this.definition.on_failure === 'stop' &&\n",
    'false &&\n',
  ]),
  bug('retry-counts-as-end', 'A task that is tried again is taken off its step.', [
    engine,
    "if (settlement.to === 'delayed' || settlement.to === 'queued') continue",
    "if (settlement.to === 'queued') continue",
  ]),
  bug('zombies-count', 'A report whose fence did not hold changes the counters.', [
    engine,
    '|| !settled.has(task.taskId)) continue',
    ') continue',
  ]),
  bug('nothing-follows', 'Outcomes are written without what follows from them.', [
    engine,
    'continued: await conclude(open, succeeded, continuation) }',
    'continued: new Map() }',
  ]),
  bug('outputs-forgotten', 'Outputs are not written with the outcome that made them.', [
    taskResults,
    'await writeOutputs(tx, ended, deps)\n',
    '\n',
  ]),

  // Ends.
  bug('end-too-early', 'A job ends with one step left.', [
    graph,
    'if (this.job.stepsPending === 0 && !isJobEnded(this.job.state)) {',
    'if (this.job.stepsPending <= 1 && !isJobEnded(this.job.state)) {',
  ]),
  bug('end-told-twice', 'The end of a job is told twice.', [
    graph,
    'this.ended = state\n',
    "this.ended = state\n      this.#tell('job.ended', { status: state })\n",
  ]),
  bug('events-forgotten', 'Events are not written with what they tell of.', [
    engine,
    'await tx.appendEvents(graphs.flatMap((graph) => graph.events))',
    '',
  ]),
  bug('end-not-audited', 'The end of a job leaves no audit event.', [
    engine,
    'if (ends.length > 0) await tx.appendAudit(...ends)',
    'if (ends.length > 1) await tx.appendAudit(...ends)',
  ]),
  bug('cancelled-is-completed', 'A cancelled job ends as if it had not been.', [
    graph,
    "if (this.job.state === 'cancelling') return 'cancelled'",
    '',
  ]),
  bug(
    'progress-goes-back',
    'Progress is written as it is computed.',
    [graph, 'Math.max(this.job.progressPercent, this.#progress())', 'this.#progress()'],
    [store, 'Math.max(job.progressPercent, before.progressPercent)', 'job.progressPercent'],
  ),
  bug('verdict-too-early', 'A file is let go before all steps that decide over it have ended.', [
    graph,
    "this.isEnded(step) && !this.isBroken(step.name) && step.state !== 'failed'",
    "step.state !== 'failed'",
  ]),

  // Attempts.
  bug('one-attempt-more', 'A task is tried once more than it may be.', [
    settlement,
    'task.attempt >= task.attemptsMax',
    'task.attempt > task.attemptsMax',
  ]),
  bug('dead-at-once', 'A task dies although it has attempts left.', [
    settlement,
    'task.attempt >= task.attemptsMax',
    'task.attempt >= 1',
  ]),
  bug('poison-for-ever', 'A task that kills its workers is tried for ever.', [
    settlement,
    'outcome.lostCount + 1 < lostCountMax',
    'outcome.lostCount < 1_000',
  ]),
  bug('backoff-without-bound', 'The wait before a retry has no bound.', [
    settlement,
    'Math.min(maxMs, initialMs * doubled)',
    '1e9',
  ]),
  bug('release-uses-attempt', 'A task that is given back has used an attempt.', [
    store,
    "attempt: task.attempt - (settlement.to === 'queued' ? 1 : 0)",
    'attempt: task.attempt',
  ]),
  bug('claim-uses-no-attempt', 'Taking a task uses no attempt.', [
    store,
    'attempt: task.attempt + 1, leaseUntilMs',
    'attempt: task.attempt, leaseUntilMs',
  ]),

  // Fences and leases.
  bug('drop-the-fence', 'A worker writes without the lease.', [
    store,
    'task !== undefined && task.epoch === epoch && task.state',
    'task !== undefined && task.state',
  ]),
  bug('complete-twice', 'A task that has ended is settled again.', [
    store,
    "holds(tx, settlement, 'running')",
    'tx.get(tables.tasks, settlement.taskId)',
  ]),
  bug('epoch-stays', 'Admission grants the old epoch anew.', [
    scheduler,
    'const epoch = task.epoch + 1',
    'const epoch = task.epoch',
  ]),
  bug('result-lost', 'A task succeeds without its result.', [
    store,
    "if (settlement.to !== 'succeeded') return\n",
    'if (settlement.to) return\n',
  ]),
  bug('claim-after-cancel', 'A task of a cancelled job is started.', [
    store,
    "return (state === 'queued' || state === 'running') && cancelRequestedMs === null",
    'return state !== undefined',
  ]),
  bug(
    'taken-from-the-living',
    'A task is taken from a worker that has its lease.',
    [store, 'held === undefined || (isLost && (held.leaseUntilMs ?? 0) >= now())', 'held === undefined'],
    [scheduler, "state === 'running' && (leaseUntilMs ?? 0) < now()", "state === 'running'"],
  ),
  bug('hint-taken-back-early', 'An offered task is queued again before its time is over.', [
    scheduler,
    "state === 'dispatched' && (leaseUntilMs ?? 0) < now()",
    "state === 'dispatched'",
  ]),
  bug('retry-too-early', 'A delayed task does not wait.', [
    scheduler,
    "state === 'delayed' && runAtMs <= now()",
    "state === 'delayed'",
  ]),
  bug('half-a-transaction', 'A transaction that fails leaves what it has written.', [
    store,
    'return value\n    } catch (error) {\n      tx.rollBack()\n      throw error\n    }\n  }\n\n  const mayStart',
    'return value\n    } catch (error) {\n      tx.commit(observe)\n      throw error\n    }\n  }\n\n  const mayStart',
  ]),
  bug(
    'job-not-locked',
    'Two transactions change one job at a time.',
    [store, 'await tx.lock(tables.jobs, id)\n        const job', 'const job'],
    [store, 'await tx.lock(tables.jobs, job.id)\n', '\n'],
  ),
  bug('answers-mixed', 'All reports of a batch are given the first one’s answer.', [
    'processing/micro-batch.ts',
    'resolve(values[index] as Value)',
    'resolve(values[index * 0] as Value)',
  ]),
  bug('report-says-yes', 'A worker is told that its outcome counts when it does not.', [
    'processing/desk.ts',
    'newest.get(taskId) === report && settled.taskIds.has(taskId)',
    'newest.has(taskId)',
  ]),
  bug(
    'stale-beside-fresh',
    'Of two reports of one task in a batch, the outdated one counts, too. (Found by the simulation.)',
    [
      'processing/desk.ts',
      'const settled = await deps.engine.settleAndContinue([...newest.values()], continuation)',
      'const settled = await deps.engine.settleAndContinue(reports, continuation)',
    ],
  ),
  bug('report-lost', 'Reports beyond the first batch are dropped.', [
    'processing/micro-batch.ts',
    'waiting = waiting.slice(countMax)',
    'waiting = []',
  ]),

  // What a person asks.
  bug('cancel-not-audited', 'What a person asks of a job leaves no audit event.', [
    control,
    'await tx.appendAudit({ tenantId, actor, action, jobId, detail })',
    '',
  ]),
  bug('cancel-says-yes', 'A cancellation is acknowledged and not done.', [control, 'graph.cancel()', '']),
  bug('cancel-an-ended-job', 'A job that has ended can be cancelled.', [
    control,
    "if (isJobEnded(graph.job.state)) throw new Problem('job_ended')",
    '',
  ]),
  bug('pause-keeps-admitting', 'The tasks of a paused job are not held.', [
    engine,
    'else if (isPaused) job.tasksMoving = await tx.holdTasks(job.id, cancelChunkCount)',
    'else if (isPaused) job.tasksMoving = false',
  ]),
  bug('pause-forgets-the-rest', 'Of a paused job, what does not fit into one piece is forgotten.', [
    store,
    'return tx.ofJob(tables.tasks, jobId, (task) => task.jobId === jobId && isFree(task)).length > 0',
    'return false',
  ]),
  bug('pause-is-not-asked', 'A task of a paused job is started.', [
    store,
    "return (state === 'queued' || state === 'running') && cancelRequestedMs === null",
    "return (state === 'queued' || state === 'running' || state === 'paused') && cancelRequestedMs === null",
  ]),
  bug('resume-keeps-holding', 'A job that is resumed does not get its tasks back.', [
    engine,
    'else if (job.tasksMoving) job.tasksMoving = await tx.releaseTasks(job.id, cancelChunkCount)',
    'else if (job.tasksMoving) job.tasksMoving = false',
  ]),
  bug('resume-forgets-delays', 'A held task that waits for its time does not wait when it is let go.', [
    store,
    "state: task.runAtMs > now() ? 'delayed' : 'queued'",
    "state: 'queued'",
  ]),
  bug('stop-is-not-told', 'What runs beside a task that stopped its pipeline is not stopped.', [
    graph,
    "this.job.state === 'cancelled' || this.isStopping",
    "this.job.state === 'cancelled'",
  ]),
  bug('held-not-cancelled', 'The tasks of a paused job outlive its cancellation.', [
    store,
    'const idle = jobIds.flatMap((jobId) => freeTasksOf(tx, jobId, isIdle)).slice(0, limit)',
    'const idle = jobIds.flatMap((jobId) => freeTasksOf(tx, jobId, (t) => isIdle(t) && !isHeld(t))).slice(0, limit)',
  ]),
  bug('idle-not-cancelled', 'Tasks in nobody’s hands outlive the cancellation of their job.', [
    graph,
    'return open && !isJobEnded',
    'return open && open === null && !isJobEnded',
  ]),
  bug('replay-keeps-work', 'A step that runs again keeps its old tasks.', [
    control,
    'await tx.deleteStepWork(jobRowId, steps)',
    '',
  ]),
  bug('retry-keeps-work', 'Steps after a failed one keep their old tasks.', [
    control,
    'await tx.deleteStepWork(job.id, forgotten)',
    '',
  ]),
  bug('retry-keeps-failures', 'A step that is tried again still counts its dead tasks.', [
    graph,
    'Object.assign(step, { tasksPending: count, tasksFailed: 0, problem: null })',
    'Object.assign(step, { tasksPending: count, problem: null })',
  ]),

  // Duties.
  bug('skip-a-rescue', 'Nobody looks after tasks whose worker is lost.', [
    'maintenance/rescuer.ts',
    'store.listLost(lostCountMax)',
    'store.listLost(0)',
  ]),
  bug('skip-a-requeue', 'What was offered and not claimed is never offered again.', [
    'maintenance/rescuer.ts',
    'store.requeueExpired(requeueCountMax)',
    'store.requeueExpired(0)',
  ]),
  bug('skip-a-promotion', 'Delayed tasks are never queued.', [
    'maintenance/promoter.ts',
    'store.promoteDelayed(countMax)',
    'store.promoteDelayed(0)',
  ]),
  bug('skip-a-continuation', 'Nobody goes on with what one transaction could not end.', [
    'maintenance/canceller.ts',
    'await engine.continueJobs(jobIds)',
    '',
  ]),
  bug('one-of-many-left-out', 'Of jobs that are wound up together, the first is left out.', [
    'maintenance/canceller.ts',
    'pieces.push(winding.slice(at, at + togetherCount))',
    'pieces.push(winding.slice(at + 1, at + togetherCount))',
  ]),
  bug('duty-gives-up', 'A duty that fails once is not looked after any more.', [
    'maintenance/duty.ts',
    'return failureWaitMs\n',
    'return 1e12\n',
  ]),
  bug('lead-not-renewed', 'A leader does not renew its lead, and nobody takes it.', [
    'maintenance/leader.ts',
    'dueAtMs = now + waitMs',
    'dueAtMs = now + 1e12',
  ]),
  bug('admitted-not-offered', 'What is admitted is not put into the ready queue.', [
    admission,
    'if (admitted.length > 0) await queue.push(pool, inOrder(turns, admitted).map(toOffered))',
    '',
  ]),
  bug('two-leaders-admit', 'Whoever believes to lead admits.', [
    scheduler,
    'async admit({ pool, orders, leaseMs, leadership }) {\n      if (!leads(leadership)) return []',
    'async admit({ pool, orders, leaseMs }) {',
  ]),
  bug('start-keeps-epoch', 'What is started for the worker in the leader’s process keeps its epoch.', [
    store,
    'const epoch = isOffered ? task.epoch : task.epoch + 1',
    'const { epoch } = task',
  ]),
  bug('cap-ignored', 'A tenant’s cap is not looked at.', [
    admission,
    'free: Math.min(room, startsFree ?? room, Math.max(0, runningMax - (inFlightMax.get(tenantId) ?? 0)))',
    'free: Math.min(room, startsFree ?? room)',
  ]),
  bug('rate-ignored', 'A tenant’s rate of starts is not looked at.', [
    admission,
    'free: Math.min(room, startsFree ?? room, ',
    'free: Math.min(room, ',
  ]),
  bug('tokens-not-spent', 'A start takes no token.', [
    scheduler,
    'Math.max(row.startsFromMs, fullMs) + (1_000 * count) / row.startsPerSecond',
    'Math.max(row.startsFromMs, fullMs)',
  ]),
  bug('tokens-hoarded', 'Tokens that nobody took are kept without bound.', [
    scheduler,
    'Math.min(burst, ((nowMs - startsFromMs) / 1_000) * startsPerSecond)',
    '((nowMs - startsFromMs) / 1_000) * startsPerSecond',
  ]),
  bug('cap-of-yesterday', 'What was admitted since the last count is not counted against the cap.', [
    admission,
    'inFlightMax.set(tenantId, count + 1)',
    'inFlightMax.set(tenantId, count)',
  ]),
  bug('cap-without-running', 'Running tasks do not count against the cap.', [
    scheduler,
    "if (state !== 'dispatched' && state !== 'running') continue",
    "if (state !== 'dispatched') continue",
  ]),
  bug('goes-on-before-others', 'A worker goes on with a tenant’s tasks while others wait.', [
    store,
    'isWaiting(task) && (task.tenantId !== tenantId || task.lane < lane)',
    'isWaiting(task) && task.tenantId === tenantId && task.lane < lane',
  ]),
  bug('goes-on-before-the-urgent', 'A worker goes on with a tenant’s tasks while more urgent ones of it wait.', [
    store,
    'isWaiting(task) && (task.tenantId !== tenantId || task.lane < lane)',
    'isWaiting(task) && task.tenantId !== tenantId',
  ]),
  bug('goes-on-past-the-offered', 'A worker goes on with a tenant’s tasks while those of others are offered.', [
    store,
    "task.state === 'queued' || task.state === 'dispatched'\n      const isFlying",
    "task.state === 'queued'\n      const isFlying",
  ]),
  bug('goes-on-with-two', 'A worker goes on with one of several tasks that follow, and the others are forgotten.', [
    'processing/continuation.ts',
    'await tx.insertTasks(tasks.filter((task) => !wished.has(task)))',
    'if (wished.size === 0) await tx.insertTasks(tasks)',
  ]),
  bug('refused-successors-lost', 'What a worker may not go on with is not put into the backlog.', [
    'processing/continuation.ts',
    'await tx.insertTasks(candidates.filter((each) => !going.includes(each)).map(({ task }) => task))',
    '',
  ]),
  bug('goes-on-while-paused', 'A worker goes on with the tasks of a paused job.', [
    'processing/continuation.ts',
    "graph.job.state === 'running' && !graph.isWinding",
    "graph.job.state !== 'queued' && !graph.isWinding",
  ]),
  bug('never-charged', 'A tenant’s turn never ends.', [
    'maintenance/fair-share.ts',
    'entry.deficitMs -= costMs',
    'entry.deficitMs += 0',
  ]),
]
