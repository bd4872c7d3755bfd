// Charts of columns as SVG, drawn by echarts on the server side: a histogram where values are numbers, bars of the
// most frequent values where they are words.

import { BarChart } from 'echarts/charts'
import { GridComponent } from 'echarts/components'
import { init, use, type EChartsCoreOption } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { ProfileColumn } from '../table-profile.ts'
import { numberText, shareText, shortened } from './report-text.ts'

const widthPx = 340
const histogramHeightPx = 150
const barHeightPx = 19
const font = 'Libertinus Serif'
const ink = '#3c4650'
const line = '#d5dae0'
const bar = '#0b6b63'
const barsMax = 8
const labelCharactersMax = 26

/** Share of all rows that frequent values must have together, to be worth a chart. */
const frequentShareMin = 0.1

/** Whether there is something to be seen: values that stand once each tell nothing about a column. */
export function isDrawable({ histogram, top, distinct_count: distinct }: ProfileColumn, rowsCount: number): boolean {
  if (isHistogram(histogram)) return true
  if (!Array.isArray(top) || top.length === 0) return false
  const shown = top.slice(0, barsMax).reduce((sum, { count }) => sum + count, 0)
  return distinct <= barsMax || ((top[0]?.count ?? 0) > 1 && shown >= rowsCount * frequentShareMin)
}

const isHistogram = (histogram: ProfileColumn['histogram']): histogram is NonNullable<ProfileColumn['histogram']> =>
  Array.isArray(histogram) && histogram.some(({ count }) => count > 0)

/** The chart of a drawable column as SVG. */
export const chartOf = ({ histogram, top }: ProfileColumn, rowsCount: number): string =>
  isHistogram(histogram)
    ? drawn(histogramOption(histogram), histogramHeightPx)
    : drawn(topOption(top.slice(0, barsMax), rowsCount), Math.min(top.length, barsMax) * barHeightPx)

function drawn(option: EChartsCoreOption, heightPx: number): string {
  use([BarChart, GridComponent, SVGRenderer])
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: widthPx, height: heightPx })
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: font }, ...option })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

/** The margins hold the labels of the axes too. */
const labelsInside = { outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' }
const label = { color: ink, fontSize: 11, fontFamily: font }

function histogramOption(bars: NonNullable<ProfileColumn['histogram']>): EChartsCoreOption {
  const last = bars.length - 1
  const shownAt = new Set([0, Math.floor(bars.length / 2), last])
  return {
    grid: { left: 8, right: 14, top: 12, bottom: 6, ...labelsInside },
    xAxis: {
      type: 'category',
      data: bars.map(({ from }) => from),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: line } },
      axisLabel: {
        ...label,
        interval: 0,
        // The first and the middle bar are named by where they begin, the last by where it ends.
        formatter: (_: string, index: number) =>
          shownAt.has(index)
            ? numberText(Number((index === last ? bars[index]?.to : bars[index]?.from)?.toPrecision(4)))
            : '',
      },
    },
    yAxis: {
      type: 'value',
      splitNumber: 3,
      minInterval: 1,
      splitLine: { lineStyle: { color: line } },
      axisLabel: { ...label, formatter: (value: number) => numberText(value) },
    },
    series: [{ type: 'bar', data: bars.map(({ count }) => count), barCategoryGap: '14%', itemStyle: { color: bar } }],
  }
}

function topOption(shown: ProfileColumn['top'], rowsCount: number): EChartsCoreOption {
  return {
    grid: { left: 4, right: 84, top: 0, bottom: 0, ...labelsInside },
    xAxis: { type: 'value', show: false, min: 0 },
    yAxis: {
      type: 'category',
      inverse: true,
      data: shown.map(({ value }) => shortened(value, labelCharactersMax) || '(blank)'),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: line } },
      axisLabel: { ...label, interval: 0 },
    },
    series: [
      {
        type: 'bar',
        data: shown.map(({ count }) => count),
        barMaxWidth: 14,
        itemStyle: { color: bar },
        label: {
          show: true,
          position: 'right',
          ...label,
          formatter: ({ value }: { value: number }) => `${numberText(value)} (${shareText(value, rowsCount)})`,
        },
      },
    ],
  }
}
