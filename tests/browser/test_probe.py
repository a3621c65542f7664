import time
CELL='''
import io, numpy as np
from PIL import Image
from resnet_explore.widgets.filmstrip import Filmstrip
def png(a):
    f=io.BytesIO(); Image.fromarray(a).save(f,"PNG"); return f.getvalue()
def pic(k): 
    a=np.full((600,1400,3),255,np.uint8); a[:, :20+60*k]=(30,100,180); a[100:200, 300:400]=(200,30,k*10); return png(a)
s=Filmstrip(frames=[pic(k) for k in range(10)], titles=[f"Plain networks get worse: step {k}"*(1+k//5) for k in range(10)], captions=["digits, seed 0, 8 epochs, train mode"], headings=["Plain-56","Residual-56"], name="Depth", ticks=[str(8+12*k) for k in range(10)], scale=2.0)
s
'''
def test_probe(open_notebook):
    t=time.time()
    nb=open_notebook([CELL]); print("open", time.time()-t)
    nb.run_all(); print("ran", time.time()-t)
    nb.screenshot("probe")
    nb.press(".rx-step","ArrowRight")
    nb.page.wait_for_timeout(400)
    print(nb.execute("print(s.index)"))
    nb.screenshot("probe2")
    nb.assert_clean()
    t=time.time()
    nb=open_notebook([CELL],theme="dark"); print("open", time.time()-t)
    nb.run_all(); print("ran", time.time()-t)
    nb.screenshot("probe-dark")
