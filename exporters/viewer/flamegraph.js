// Draws the flame graph from the data in the file and answers clicks, keys and searches.
//
// The file also holds a still picture (#static) for viewers without script; it is taken away here.
// Everything is drawn anew on each change: zoom, search, a new width. Frames narrower than a tenth
// of a pixel are not drawn but counted. All texts from the profile go in as text nodes, never as
// markup.
(() => {
  'use strict';

  const SVG = 'http://www.w3.org/2000/svg';
  const HTML = 'http://www.w3.org/1999/xhtml';
  const ROW = 18;            // pixels from one row of frames to the next
  const PADDING = 12;        // pixels left and right of the graph
  const TEXT_PADDING = 4;    // pixels between the side of a frame and its name
  const SMALLEST = 0.1;      // pixels: narrower frames are not drawn
  const GRAPH_TAB = 3;       // the place of the graph in the order of the tab key
  const GAP_FROM = 2;        // pixels: wider frames leave a small gap to the next one

  const svg = document.querySelector('svg.page');
  const data = JSON.parse(svg.querySelector('#profile-data').textContent);

  // ---- The tree, as columns. Node 0 is the whole profile; a parent comes before its children.

  const count = data.nodes.length / 3 + 1;
  const frameOf = new Int32Array(count).fill(-1);
  const parent = new Int32Array(count).fill(-1);
  const depth = new Int32Array(count);
  const self = new Float64Array(count);
  const total = new Float64Array(count);
  const start = new Float64Array(count);   // value at the left side
  const end = new Int32Array(count);       // the first node that is not below this one
  const waits = new Map();                 // how many waits end in a node

  function readTree() {
    let last = 0;
    self[0] = data.self;
    for (let i = 1, at = 0; i < count; ++i, at += 3) {
      for (let up = data.nodes[at + 1]; up > 0; --up) last = parent[last];
      frameOf[i] = data.nodes[at];
      self[i] = data.nodes[at + 2];
      parent[i] = last;
      depth[i] = depth[last] + 1;
      last = i;
    }
    for (let i = count - 1; i >= 0; --i) {
      total[i] += self[i];
      if (end[i] === 0) end[i] = i + 1;
      if (i > 0) {
        total[parent[i]] += total[i];
        end[parent[i]] = Math.max(end[parent[i]], end[i]);
      }
    }
    for (let at = 0; at < data.waits.length; at += 2) waits.set(data.waits[at], data.waits[at + 1]);
    const filled = new Float64Array(count);
    for (let i = 1; i < count; ++i) {
      start[i] = start[parent[i]] + filled[parent[i]];
      filled[parent[i]] += total[i];
    }
  }
  readTree();

  const frames = data.frames.map(
      ([name, color, module, file]) => ({name, color, module: data.modules[module], file}));
  const whole = {name: 'all', color: 't', module: '', file: ''};
  const frame = (node) => node === 0 ? whole : frames[frameOf[node]];

  // ---- Numbers as text.

  const grouped = (value, digits) => value.toLocaleString(
      'en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
  const TIME_UNITS = {nanoseconds: 1e6, microseconds: 1e3, milliseconds: 1, seconds: 1e-3};

  function exactValue(value) {
    const perMillisecond = TIME_UNITS[data.unit];
    if (perMillisecond) return `${grouped(value / perMillisecond, 3)} ms`;
    if (data.unit !== 'count') return `${grouped(value, 0)} ${data.unit}`.trim();
    const noun = /samples?$/.test(data.type) ? 'sample' : `${data.type}`;
    return `${grouped(value, 0)} ${noun}${noun === 'sample' && value !== 1 ? 's' : ''}`.trim();
  }
  const share = (part, all) => `${grouped(all > 0 ? 100 * part / all : 0, 2)} %`;

  // ---- Elements.

  function svgElement(name, attributes, parentNode) {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (parentNode) parentNode.appendChild(element);
    return element;
  }
  function htmlElement(name, className, parentNode, text) {
    const element = document.createElementNS(HTML, name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    parentNode.appendChild(element);
    return element;
  }

  svg.querySelector('#static').remove();
  svg.setAttribute('width', '100%');
  const ruler = svgElement('text', {x: 0, y: -100, 'aria-hidden': 'true'}, svg);
  const graph = svgElement('g', {id: 'graph', role: 'tree', 'aria-label': 'Flame graph'}, svg);
  const footer = svgElement('text', {id: 'footer', class: 'quiet footer', x: PADDING}, svg);
  const head = svgElement('g', {id: 'head'}, svg);
  const headBackdrop = svgElement('rect', {class: 'backdrop', width: '100%'}, head);
  const headBox = svgElement('foreignObject', {x: 0, y: 0, width: '100%', height: 80}, head);
  const bar = htmlElement('div', 'bar', headBox);
  const tipBox = svgElement('foreignObject', {id: 'tip', 'pointer-events': 'none'}, svg);
  const tip = htmlElement('div', 'tip', tipBox);
  tip.setAttribute('role', 'tooltip');
  tipBox.style.display = 'none';

  const titleRow = htmlElement('div', 'row', bar);
  htmlElement('span', 'title', titleRow, data.title);
  htmlElement('span', 'details', titleRow, data.details);
  const toolRow = htmlElement('div', 'row', bar);
  const input = htmlElement('input', '', toolRow);
  input.id = 'search';
  input.type = 'search';
  input.tabIndex = 1;   // before the graph, which is painted, and so stands, before it
  input.placeholder = 'Search by regex (press /)';
  input.setAttribute('aria-label', 'Search frames by regular expression');
  input.setAttribute('spellcheck', 'false');
  input.setAttribute('autocomplete', 'off');
  const resetButton = htmlElement('button', '', toolRow, 'Reset zoom');
  resetButton.id = 'reset';
  resetButton.type = 'button';
  resetButton.tabIndex = 2;
  resetButton.title = 'Esc';
  const status = htmlElement('span', 'status', toolRow);
  status.id = 'status';
  status.setAttribute('aria-live', 'polite');
  drawLegend();

  function drawLegend() {
    const legend = htmlElement('div', 'legend', htmlElement('div', 'row', bar));
    legend.id = 'legend';
    for (const [color, label] of data.legend) {
      const entry = htmlElement('span', '', legend);
      const swatch = svgElement('svg', {class: 'swatch'}, entry);
      svgElement('rect', {class: color, width: '100%', height: '100%', rx: 2}, swatch);
      entry.appendChild(document.createTextNode(label));
    }
  }

  // ---- How wide a text is: the sum of its characters, each measured once.

  const widths = new Map();
  function measure(text) {
    ruler.textContent = text;
    return ruler.getComputedTextLength();
  }
  function widthOfCharacter(character) {
    let width = widths.get(character);
    if (width === undefined) {
      width = measure(character.repeat(8)) / 8;
      widths.set(character, width);
    }
    return width;
  }
  // Italic faces can be wider; scripts whose characters join or stack are measured as a whole.
  const SLACK = 1.03;
  const isSimple = (text) => /^[\u0020-\u024f\u0370-\u052f\u2010-\u2027\u3000-\u9fff]*$/.test(text);
  function widthOf(text) {
    if (!isSimple(text)) return measure(text) * SLACK;
    let width = 0;
    for (const character of text) width += widthOfCharacter(character);
    return width * SLACK;
  }

  // Shorter forms of a name, best first: without arguments or file, without template arguments, the
  // last part alone.
  function shorterForms(name) {
    const forms = [];
    if (name.startsWith('[')) return forms;
    let short = name.replace(/ \([^()]*\)$/, '');
    if (short === name) short = name.replace(/(?<=[^ :(])\((?:[^()]|\([^()]*\))*\)( const)?$/, '(…)');
    if (short !== name) forms.push(short);
    if (!short.includes('operator')) {
      let folded = short;
      for (let before = ''; before !== folded;) {
        before = folded;
        folded = folded.replace(/(?<=\w)<(?!…>)[^<>]*(<…>[^<>]*)*>/g, '<…>');
      }
      if (folded !== short) forms.push(folded);
      const colons = folded.lastIndexOf('::');
      if (colons > 0) forms.push('…' + folded.slice(colons));
    }
    return forms;
  }

  function cut(text, room) {
    const characters = Array.from(text);
    let width = widthOfCharacter('…');
    let kept = 0;
    while (kept < characters.length) {
      width += widthOfCharacter(characters[kept]) * SLACK;
      if (width * SLACK > room) break;
      ++kept;
    }
    let result = characters.slice(0, kept).join('') + '…';
    while (kept > 0 && !isSimple(result) && measure(result) * SLACK > room) {
      result = characters.slice(0, --kept).join('') + '…';
    }
    return kept >= 2 ? result : '';
  }

  function fitted(row, room) {
    if (room < 3 * widthOfCharacter('…')) return '';
    if (row.width === undefined) row.width = widthOf(row.name);
    if (row.width <= room) return row.name;
    if (row.forms === undefined) row.forms = shorterForms(row.name).map((text) => [text, widthOf(text)]);
    for (const [text, width] of row.forms) if (width <= room) return text;
    // In a narrow frame the last part tells more than the namespaces, which neighbours share.
    return cut(row.forms.length > 0 ? row.forms.at(-1)[0].replace(/^…::/, '') : row.name, room);
  }

  // ---- State and drawing.

  let zoomed = 0;        // the node that fills the width
  let focused = 0;       // the node that the keyboard is at
  let pattern = null;    // what is searched for
  const elements = new Map();   // node -> its <g> or <rect>

  const isAncestor = (node, of) => node <= of && of < end[node];
  const pageWidth = () => svg.getBoundingClientRect().width;

  function draw() {
    const width = pageWidth() - 2 * PADDING;
    headBox.setAttribute('height', 1000);
    const top = Math.ceil(bar.getBoundingClientRect().height);
    headBox.setAttribute('height', top);
    headBackdrop.setAttribute('height', top);
    const fragment = document.createDocumentFragment();
    elements.clear();
    const scale = total[zoomed] > 0 ? width / total[zoomed] : 0;
    let deepest = 0;
    let hidden = 0;
    const drawNode = (node, x, frameWidth) => {
      elements.set(node, makeFrame(node, x, top + depth[node] * ROW, frameWidth, fragment));
      deepest = Math.max(deepest, depth[node]);
    };
    for (const node of pathTo(zoomed)) drawNode(node, PADDING, width);
    for (let i = zoomed + 1; i < end[zoomed];) {
      const frameWidth = total[i] * scale;
      if (frameWidth < SMALLEST) {
        hidden += end[i] - i;
        i = end[i];
        continue;
      }
      drawNode(i, PADDING + (start[i] - start[zoomed]) * scale, frameWidth);
      ++i;
    }
    graph.classList.toggle('searching', pattern !== null);
    graph.replaceChildren(fragment);
    finish(top + (deepest + 1) * ROW, hidden);
  }

  function pathTo(node) {
    const path = [];
    for (let at = node; at >= 0; at = parent[at]) path.push(at);
    return path.reverse();
  }

  function makeFrame(node, x, y, width, into) {
    const row = frame(node);
    const boxWidth = width > GAP_FROM ? width - 0.6 : width;
    const shown = fitted(row, boxWidth - 2 * TEXT_PADDING);
    const rect = document.createElementNS(SVG, 'rect');
    rect.setAttribute('x', x.toFixed(3));
    rect.setAttribute('y', y);
    rect.setAttribute('width', boxWidth.toFixed(3));
    rect.setAttribute('height', ROW - 1);
    if (width > 6) rect.setAttribute('rx', 2);
    // Most frames of a large profile are slivers: those are a box and nothing else.
    const element = shown ? document.createElementNS(SVG, 'g') : rect;
    if (shown) {
      const text = document.createElementNS(SVG, 'text');
      text.setAttribute('x', (x + TEXT_PADDING).toFixed(3));
      text.setAttribute('y', y + 13);
      text.textContent = shown;
      element.append(rect, text);
    }
    let classes = `frame ${row.color}`;
    if (row.color.endsWith('i')) classes += ' i';
    if (node !== zoomed && isAncestor(node, zoomed)) classes += ' parent';
    if (pattern !== null && matches(node)) classes += ' match';
    element.setAttribute('class', classes);
    element.setAttribute('data-node', node);
    if (shown) element.setAttribute('role', 'treeitem');
    if (node === focused) element.setAttribute('tabindex', GRAPH_TAB);
    into.appendChild(element);
    return element;
  }

  function finish(bottom, hidden) {
    const notes = [];
    if (count === 1 && total[0] === 0) notes.push('The profile has no samples.');
    if (hidden > 0) {
      notes.push(`${grouped(hidden, 0)} ${hidden === 1 ? 'frame' : 'frames'} narrower than ` +
                 `${SMALLEST} px not drawn; zoom in to see them.`);
    }
    if (data.negative > 0) {
      notes.push(`${grouped(data.negative, 0)} samples with negative values left out.`);
    }
    footer.textContent = notes.join(' ');
    footer.setAttribute('y', bottom + 20);
    svg.setAttribute('height', bottom + 34);
    resetButton.disabled = zoomed === 0;
    showStatus();
  }

  // ---- Search.

  function matches(node) {
    if (node === 0) return false;
    const row = frames[frameOf[node]];
    if (row.matchOf !== pattern) {
      row.matchOf = pattern;
      row.match = pattern.test(row.name);
    }
    return row.match;
  }

  // The value under matching frames; a match below a match is not counted again.
  function matchedValue() {
    if (pathTo(zoomed).some(matches)) return total[zoomed];
    let sum = 0;
    for (let i = zoomed + 1; i < end[zoomed];) {
      if (matches(i)) {
        sum += total[i];
        i = end[i];
      } else {
        ++i;
      }
    }
    return sum;
  }

  function showStatus(problem) {
    status.classList.toggle('error', problem !== undefined);
    input.classList.toggle('error', problem !== undefined);
    input.setAttribute('aria-invalid', problem !== undefined);
    if (problem !== undefined) {
      status.textContent = problem;
      return;
    }
    const parts = [];
    if (pattern !== null) {
      const value = matchedValue();
      parts.push(`Matched ${share(value, total[zoomed])} (${exactValue(value)})` +
                 (zoomed === 0 ? '' : ' of the zoomed frame'));
    }
    if (zoomed !== 0) {
      parts.push(`Zoomed: ${frame(zoomed).name}, ${share(total[zoomed], total[0])} of all`);
    }
    status.textContent = parts.join(' · ');
  }

  // A pattern without capital letters finds both cases; `\S` and the like are no capitals.
  function search(text) {
    let next = null;
    let problem;
    if (text !== '') {
      try {
        next = new RegExp(text, /\p{Lu}/u.test(text.replace(/\\./gu, '')) ? 'u' : 'iu');
      } catch (error) {
        try {
          next = new RegExp(text, /[A-Z]/.test(text.replace(/\\./g, '')) ? '' : 'i');
        } catch (second) {
          problem = `Not a regular expression: ${second.message.replace(/^.*?: (?=[^:]*$)/, '')}`;
        }
      }
    }
    pattern = next;
    draw();
    if (problem !== undefined) {
      showStatus(problem);
      redrawIfHeadGrew();
    } else {
      redrawIfHeadGrew();
    }
  }

  // A longer status line can wrap and push the graph down.
  function redrawIfHeadGrew() {
    const needed = Math.ceil(bar.getBoundingClientRect().height);
    if (needed === Number(headBox.getAttribute('height'))) return;
    const text = status.textContent;
    const isError = status.classList.contains('error');
    draw();
    if (isError) showStatus(text);
  }

  // ---- Zoom, focus, tooltips.

  function zoomTo(node) {
    zoomed = node;
    hideTip();
    draw();
    redrawIfHeadGrew();
  }

  function focusOn(node) {
    const before = elements.get(focused);
    if (before) before.removeAttribute('tabindex');
    focused = node;
    const group = elements.get(node);
    if (!group) return;
    group.setAttribute('tabindex', GRAPH_TAB);
    group.focus({preventScroll: true});
    group.scrollIntoView({block: 'nearest'});
    group.setAttribute('aria-label', `${frame(node).name}, ${exactValue(total[node])}, ` +
                       `${share(total[node], total[0])} of all`);
    const box = group.getBoundingClientRect();
    showTip(node, box.left + Math.min(box.width / 2, 60), box.bottom);
  }

  function fillTip(node) {
    const row = frame(node);
    tip.replaceChildren();
    htmlElement('b', '', tip, row.name);
    const where = [data.kinds[row.color] || data.kinds[row.color.replace(/\di?$/, '')], row.module, row.file];
    if (row.color.endsWith('i')) where[0] += ', inlined';
    htmlElement('div', 'where', tip, node === 0 ? data.title : where.filter(Boolean).join(' · '));
    const table = htmlElement('table', '', tip);
    addTipRow(table, 'total', total[node], node);
    addTipRow(table, 'self', self[node], node);
    if (waits.has(node)) addWaits(table, waits.get(node), self[node]);
  }

  function addWaits(table, number, value) {
    const line = htmlElement('tr', '', table);
    htmlElement('td', '', line, 'waits');
    htmlElement('td', '', line, grouped(number, 0));
    if (TIME_UNITS[data.unit]) htmlElement('td', '', line, `${exactValue(value / number)} on average`);
  }

  function addTipRow(table, label, value, node) {
    const line = htmlElement('tr', '', table);
    htmlElement('td', '', line, label);
    htmlElement('td', '', line, exactValue(value));
    htmlElement('td', '', line, `${share(value, total[0])} of all`);
    if (label === 'self') return;
    if (node > 0) htmlElement('td', '', line, `${share(value, total[parent[node]])} of parent`);
    if (zoomed > 0 && isAncestor(zoomed, node)) {
      htmlElement('td', '', line, `${share(value, total[zoomed])} of zoomed`);
    }
  }

  function showTip(node, clientX, clientY) {
    fillTip(node);
    const page = svg.getBoundingClientRect();
    const viewport = document.documentElement;
    const shownHeight = Math.min(window.innerHeight || viewport.clientHeight, page.height + page.top);
    const room = Math.max(160, Math.min(page.width - 16, 640));
    tipBox.style.display = '';
    tipBox.setAttribute('width', room);
    tipBox.setAttribute('height', 2000);
    const size = tip.getBoundingClientRect();
    tipBox.setAttribute('height', Math.ceil(size.height) + 16);
    let x = clientX - page.left + 14;
    if (x + size.width + 8 > page.width) x = Math.max(8, clientX - page.left - size.width - 14);
    let y = clientY + 16;
    if (y + size.height + 6 > shownHeight) y = Math.max(4, clientY - size.height - 12);
    tipBox.setAttribute('x', Math.min(x, Math.max(8, page.width - size.width - 8)));
    tipBox.setAttribute('y', y - page.top);
  }
  function hideTip() {
    tipBox.style.display = 'none';
  }

  function nodeOf(target) {
    const group = target && target.closest ? target.closest('.frame') : null;
    return group ? Number(group.getAttribute('data-node')) : -1;
  }

  function neighbour(step) {
    const shown = [...elements.keys()].filter((node) => depth[node] === depth[focused])
                      .sort((a, b) => a - b);
    return shown[shown.indexOf(focused) + step];
  }

  function hottestChild(node) {
    let best;
    for (let i = node + 1; i < end[node]; i = end[i]) {
      if (elements.has(i) && (best === undefined || total[i] > total[best])) best = i;
    }
    return best;
  }

  function zoomKeepingFocus(node) {
    focused = node;
    zoomTo(node);
    focusOn(node);
  }

  const GRAPH_KEYS = {
    Enter: () => zoomKeepingFocus(focused),
    ' ': () => zoomKeepingFocus(focused),
    Backspace: () => zoomKeepingFocus(Math.max(0, parent[zoomed])),
    ArrowDown: () => hottestChild(focused),
    ArrowUp: () => parent[focused] >= 0 ? parent[focused] : undefined,
    ArrowLeft: () => neighbour(-1),
    ArrowRight: () => neighbour(1),
  };

  function clearSearch() {
    input.value = '';
    search('');
  }

  function onKey(event) {
    const inInput = event.target === input;
    const wantsSearch = (event.key === '/' && !inInput && !event.ctrlKey && !event.metaKey) ||
                        ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f');
    if (wantsSearch) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      hideTip();
      if (inInput) input.blur();
      focused = 0;
      clearSearch();
      zoomTo(0);
    } else if (inInput && event.key === 'Enter') {
      const widest = [...elements.keys()].filter((node) => pattern !== null && matches(node))
                         .sort((a, b) => total[b] - total[a])[0];
      if (widest !== undefined) focusOn(widest);
    } else if (GRAPH_KEYS[event.key] && nodeOf(event.target) >= 0) {
      event.preventDefault();
      const next = GRAPH_KEYS[event.key]();
      if (next !== undefined) focusOn(next);
    }
  }

  input.addEventListener('input', () => search(input.value));
  resetButton.addEventListener('click', () => {
    focused = 0;
    zoomTo(0);
  });
  graph.addEventListener('click', (event) => {
    const node = nodeOf(event.target);
    if (node < 0) return;
    focused = node;
    zoomTo(node);
  });
  graph.addEventListener('mousemove', (event) => {
    const node = nodeOf(event.target);
    if (node >= 0) showTip(node, event.clientX, event.clientY);
  });
  graph.addEventListener('mouseleave', hideTip);
  // At the document: an SVG element that listens for focus can itself be focused in Chromium.
  document.addEventListener('focusout', hideTip);
  document.addEventListener('focusin', (event) => {
    const node = nodeOf(event.target);
    if (node >= 0 && node !== focused) focusOn(node);
  });
  document.addEventListener('keydown', onKey);

  // The head stays in sight in tall graphs.
  window.addEventListener('scroll', () => {
    const above = Math.max(0, -svg.getBoundingClientRect().top);
    head.setAttribute('transform', `translate(0 ${above})`);
  });

  let drawnWidth = pageWidth();
  const onWidth = () => {
    if (pageWidth() === drawnWidth) return;
    drawnWidth = pageWidth();
    hideTip();
    draw();
    redrawIfHeadGrew();
  };
  window.addEventListener('resize', onWidth);

  draw();
  onWidth();   // the first drawing can bring a scroll bar, which takes width
})();
