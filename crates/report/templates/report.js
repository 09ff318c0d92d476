'use strict';
(() => {
  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  const SVG = 'http://www.w3.org/2000/svg';
  const numbers = text => text.split(' ').map(Number);
  const charts = [...document.querySelectorAll('figure svg')].map(svg => {
    const whole = numbers(svg.getAttribute('viewBox'));
    const chart = { svg, whole, view: [...whole], marks: [], tracks: [] };
    if (svg.dataset.time) {
      chart.time = numbers(svg.dataset.time);
      chart.line = document.createElementNS(SVG, 'line');
      chart.line.setAttribute('class', 'cross');
      chart.line.setAttribute('y1', 0);
      chart.line.setAttribute('y2', whole[3]);
      chart.line.style.display = 'none';
      svg.append(chart.line);
    }
    for (const title of svg.querySelectorAll('g > title')) {
      const g = title.parentNode, said = title.textContent;
      title.remove();
      if (g.dataset.v) {
        const values = numbers(g.dataset.v), points = [];
        for (let i = 0; i + 2 < values.length; i += 3) points.push(values.slice(i, i + 3));
        chart.tracks.push({ name: said, unit: g.dataset.unit, dots: 'dots' in g.dataset, points });
      } else {
        g.setAttribute('aria-label', said);
        chart.marks.push({ g, said });
      }
    }
    return chart;
  });

  const round = value => Number(value.toPrecision(4)).toString();
  const show = (event, lines) => {
    if (!lines.length) { tip.hidden = true; return; }
    tip.textContent = lines.join('\n');
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - box.width - 6);
    const y = event.clientY + box.height + 20 > innerHeight ? event.clientY - box.height - 10 : event.clientY + 14;
    tip.style.left = Math.max(4, x) + 'px';
    tip.style.top = Math.max(4, y) + 'px';
  };
  const at = (chart, event) => {
    const box = chart.svg.getBoundingClientRect(), [x, y, w, h] = chart.view;
    return [x + (event.clientX - box.left) / box.width * w, y + (event.clientY - box.top) / box.height * h];
  };
  const cross = seconds => {
    for (const { time, line } of charts) {
      if (!time) continue;
      const [x0, x1, t0, t1] = time, x = x0 + (seconds - t0) / (t1 - t0) * (x1 - x0);
      const inside = seconds !== null && x >= x0 && x <= x1;
      line.style.display = inside ? '' : 'none';
      if (inside) { line.setAttribute('x1', x); line.setAttribute('x2', x); }
    }
  };
  const near = (chart, x, y) => {
    let best = null;
    for (const track of chart.tracks) if (track.dots) for (const p of track.points) {
      const far = Math.hypot(p[0] - x, p[1] - y);
      if (far < 10 && (!best || far < best.far)) best = { far, track, value: p[2] };
    }
    return best;
  };
  const values = (chart, x) => chart.tracks.filter(track => !track.dots).flatMap(track => {
    let best = null;
    for (const p of track.points) if (Math.abs(p[0] - x) <= 3 && (!best || Math.abs(p[0] - x) < Math.abs(best[0] - x))) best = p;
    return best ? [track.name + ': ' + round(best[2]) + ' ' + track.unit] : [];
  });

  for (const chart of charts) {
    const { svg } = chart;
    let held = null;
    svg.addEventListener('pointermove', event => {
      if (held) {
        const box = svg.getBoundingClientRect(), [, , w, h] = chart.view;
        move(chart, held.view[0] - (event.clientX - held.x) / box.width * w, held.view[1] - (event.clientY - held.y) / box.height * h, w, h);
        return;
      }
      const [x, y] = at(chart, event), lines = [];
      const mark = chart.marks.find(({ g }) => g.contains(event.target));
      if (mark) lines.push(mark.said);
      if (chart.time) {
        const [x0, x1, t0, t1] = chart.time, seconds = t0 + (x - x0) / (x1 - x0) * (t1 - t0);
        const dot = near(chart, x, y);
        if (x >= x0 && x <= x1) {
          lines.unshift('at ' + seconds.toFixed(1) + ' s');
          if (dot) lines.push((dot.track.name ? dot.track.name + ': ' : '') + round(dot.value) + ' ' + dot.track.unit);
          lines.push(...values(chart, x));
          cross(seconds);
        } else cross(null);
      }
      show(event, lines);
    });
    svg.addEventListener('pointerleave', () => { tip.hidden = true; cross(null); });
    svg.addEventListener('wheel', event => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      zoom(chart, (event.deltaY || event.deltaX) < 0 ? 0.8 : 1.25, at(chart, event));
    }, { passive: false });
    svg.addEventListener('pointerdown', event => {
      if (chart.view[2] < chart.whole[2]) { held = { x: event.clientX, y: event.clientY, view: [...chart.view] }; svg.setPointerCapture(event.pointerId); tip.hidden = true; }
    });
    svg.addEventListener('pointerup', () => { held = null; });
    svg.addEventListener('pointercancel', () => { held = null; });
    svg.addEventListener('dblclick', event => zoom(chart, 0.5, at(chart, event)));
    const bar = document.createElement('span');
    bar.className = 'zoom';
    for (const [text, label, factor] of [['+', 'zoom in', 0.7], ['−', 'zoom out', 1.43], ['whole', 'show the whole figure', 0]]) {
      const button = document.createElement('button');
      button.textContent = text;
      button.setAttribute('aria-label', label);
      button.addEventListener('click', () => factor ? zoom(chart, factor, [chart.view[0] + chart.view[2] / 2, chart.view[1] + chart.view[3] / 2]) : move(chart, ...chart.whole));
      bar.append(button);
    }
    svg.parentNode.querySelector('figcaption').append(bar);
  }
  function move(chart, x, y, w, h) {
    const [wx, wy, ww, wh] = chart.whole;
    x = Math.min(Math.max(x, wx), wx + ww - w);
    y = Math.min(Math.max(y, wy), wy + wh - h);
    chart.view = [x, y, w, h];
    chart.svg.setAttribute('viewBox', chart.view.join(' '));
    chart.svg.classList.toggle('zoomed', w < ww);
  }
  function zoom(chart, factor, [x, y]) {
    const [vx, vy, vw, vh] = chart.view, w = Math.min(Math.max(vw * factor, chart.whole[2] / 16), chart.whole[2]), k = w / vw;
    move(chart, x - (x - vx) * k, y - (y - vy) * k, w, vh * k);
  }
  document.documentElement.dataset.ready = charts.length;
})();
